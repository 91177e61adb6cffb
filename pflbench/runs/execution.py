"""Executing a planned run: the round loop, its evaluations, its checkpoints and its end."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from pflbench.engine import Simulation
from pflbench.engine.apart import apart, reseed
from pflbench.engine.personal_evaluation import evaluate_generic
from pflbench.engine.privacy_accounting import guarantee, tables
from pflbench.engine.process_group import ALONE, Group, PeerFailedError
from pflbench.engine.threads import steady
from pflbench.errors import (
    DivergedError,
    ImportChangesError,
    InputError,
    PflbenchError,
    PluginError,
)
from pflbench.federation.skew import class_counts, client_facts
from pflbench.method import Storage
from pflbench.results import Store, StoredRun, client_table, selected_round, worst_tenth
from pflbench.results.measures import STAGES
from pflbench.runs.early_stopping import is_over
from pflbench.runs.environment import forget_peak_memory, peak_memory
from pflbench.runs.keeping import ModelKeeper, tell_not_kept
from pflbench.runs.keeping_predictions import PredictionKeeper, tell_without_predictions
from pflbench.runs.new_client_results import Onboarding
from pflbench.runs.observer import Evaluation, Observer, Progress, RunInfo
from pflbench.runs.observing import Observers, observers_of
from pflbench.runs.planning import PlannedRun
from pflbench.runs.relatedness_setup import relatedness_of
from pflbench.runs.result import Result
from pflbench.runs.reuse import take
from pflbench.runs.writers import InMemory, Shared, Writer
from pflbench.schema.error_text import shortened
from pflbench.schema.realised import attendance, off_default, population_in_numbers

CHECKPOINT_SECONDS = 15.0
"""Most work that a killed run loses, in addition to its current round, if its state is small."""

CHECKPOINT_COST = CHECKPOINT_SECONDS / 20
"""Seconds of writing; a checkpoint that takes longer is written less often, in proportion."""


def execute(
    planned: PlannedRun,
    store: Store | None,
    observers: Iterable[Observer] = (),
    group: Group = ALONE,
) -> Result:
    """Run a planned cell, resume it, or return it if it is complete.

    A failed or unfinished run is run again; a complete one only with rerun="always". Of
    several processes the first one decides; the others' store and observers are not used,
    and their result has no folder.
    """
    with group.together():
        return _lead(planned, store, observers, group) if group.first else _follow(planned, group)


def _follow(planned: PlannedRun, group: Group) -> Result:
    chosen, summary = group.share_json()
    if chosen != planned.cell.id:
        raise InputError(
            f"This process would do run {planned.cell.id}, the first one {chosen}: each needs the "
            "same request, data and plugins."
        )
    if summary is not None:  # the run is complete already

        def nowhere(name: str) -> pd.DataFrame:
            raise InputError(f"The first process has the table {name!r}; this one has no results.")

        return Result(planned.cell.id, planned.cell.to_json(), summary, None, nowhere)
    return _Execution(planned, InMemory(planned), Observers([]), None, group).play()


def _lead(
    planned: PlannedRun, store: Store | None, observers: Iterable[Observer], group: Group
) -> Result:
    notified = Observers([*observers, *observers_of(planned.registry, planned.request.observers)])
    if store is None:
        group.share_json([planned.cell.id, None])
        return _Execution(planned, InMemory(planned), notified, None, group).play()
    taken = take(planned, store, group.size)
    if isinstance(taken, StoredRun):
        tell_not_kept(taken, planned.request)
        tell_without_predictions(taken, planned.request)
        result = Result.stored(taken)
        group.share_json([planned.cell.id, dict(result.summary)])
        notified.notify("reused", result)
        return result
    with taken as writer:
        group.share_json([planned.cell.id, None])
        return _Execution(planned, writer, notified, writer.folder, group).play()


class _Execution:
    """One run, from its first or its next round to its end."""

    def __init__(
        self,
        planned: PlannedRun,
        writer: Writer,
        observers: Observers,
        folder: Path | None,
        group: Group,
    ) -> None:
        self.planned, self.folder, self.group = planned, folder, group
        self.writer = Shared(writer, group)
        self.observers = observers
        self.scenario = planned.cell.scenario
        self.evaluations: list[pd.DataFrame] = []
        self.stages: list[pd.DataFrame] | None = []
        self.rounds: list[dict[str, Any]] = []
        self.done, self.ended, self.seconds_before = 0, False, 0.0
        self.began = self.saved = time.perf_counter()
        self.save_after = CHECKPOINT_SECONDS

    def play(self) -> Result:
        """Run the missing rounds, independently of earlier work in this process."""
        with apart(self.planned.cell.seed):
            return self._play()

    @steady()
    def _play(self) -> Result:
        forget_peak_memory(self.planned.device)
        try:
            self.simulation = self._simulation()
            p = self.planned
            self.onboarding = Onboarding(p.held, self.scenario.new_clients, self.simulation)
            self.keeper = ModelKeeper(p, self.simulation, self.writer)
            self.predictions = PredictionKeeper(p, self.writer)
            self._prepare()
            self._tell_start()
            while not self.ended:
                self._one_round()
                now = time.perf_counter()
                if now - self.saved > self.save_after and not self.ended:
                    self._save()
            with self.simulation.crossing.call("relatedness"):
                related, near = relatedness_of(
                    self.simulation.server, p.held.participants, p.held.numbers
                )
            summary = {**self._summary(), **near}
            self.keeper.end(summary["selected_round"], self.done)
            self.predictions.end(summary["selected_round"], self.done)
            ended = self.writer.complete({**self._tables(), **related}, summary)
        except Exception as error:
            if isinstance(error, DivergedError):
                error = self.onboarding.renumbered(error)
            self._fail(error)
            raise error
        result = ended if isinstance(ended, Result) else Result.stored(ended)
        self.observers.notify("finished", result)
        return result

    def _simulation(self) -> Simulation:
        p = self.planned
        dtype, products = p.types
        return Simulation(
            p.spec,
            p.parameters,
            p.held.participants,
            p.module,
            p.head,
            seed=p.cell.seed,
            optimiser=p.optimiser,
            clip=p.clip,
            schedule=p.schedule,
            budget=p.budget,
            participation=p.participation,
            engine=p.engine,
            chunk=p.request.chunk,
            dtype=dtype,
            products=products,
            device=p.device,
            metrics=p.metrics,
            storage=Storage(folder=self.folder),
            coordinates=p.coordinates,
            group=self.group,
            privacy=p.privacy,
            nature=p.nature,
        )

    def _prepare(self) -> None:
        """Load the last checkpoint, or enrol all clients."""
        checkpoint = self.writer.restore(self.scenario.rounds)
        if checkpoint is None:
            self.simulation.enrol()
            return
        self.done = checkpoint.round
        self.ended = self.done >= self.scenario.rounds
        self.seconds_before = float(checkpoint.counters["seconds"])
        self.simulation.restore(checkpoint.tensors)
        for part in checkpoint.parts():
            self.simulation.restore(part)
        self.simulation.traffic.restore(checkpoint.tables["messages"])
        self.onboarding.restore(checkpoint.tables)
        if "participation" in checkpoint.tables:  # checkpoints of earlier versions have none
            self.simulation.register.restore(checkpoint.tables["participation"])
        self.simulation.unforgettable |= dict.fromkeys(checkpoint.counters.get("not_forgotten", ()))
        if "privacy" in checkpoint.tables:
            self.simulation.privacy.restore(checkpoint.tables["privacy"])
        if len(checkpoint.tables["metrics"]):
            self.evaluations = [checkpoint.tables["metrics"]]
            # None: of an earlier version, which has not evaluated them from the beginning
            self.stages = [checkpoint.tables[STAGES]] if STAGES in checkpoint.tables else None
        self.rounds = [
            {str(k): v for k, v in row.items()}
            for row in checkpoint.tables["rounds"].to_dict("records")
        ]

    def _one_round(self) -> None:
        reseed(self.planned.cell.seed, self.done + 1)
        report = self.simulation.round(self.done)
        self.done += 1
        self.ended = self.done == self.scenario.rounds
        due = self.done % self.scenario.eval_every == 0 or self.ended
        due = due or self.onboarding.due(self.done)
        began = time.perf_counter()
        evaluation, adapt_steps = self._evaluate() if due else (None, 0)
        self.rounds.append(
            {
                "round": self.done,
                "cohort": len(report.cohort),
                "uploads": int(report.uploaded.sum()),
                "steps": report.steps,
                "adapt_steps": adapt_steps,
                "train_loss": report.train_loss,
                "bytes_down": report.bytes_down,
                "bytes_up": report.bytes_up,
                "client_seconds": report.client_seconds,
                "server_seconds": report.server_seconds,
                "evaluate_seconds": time.perf_counter() - began,
                "peak_memory_bytes": peak_memory(self.planned.device),
                **self._telemetry(),
            }
        )
        if due:
            patience = self.scenario.patience
            self.ended |= is_over(patience, self.done, self.evaluations)
            self.predictions.evaluated(self.done, self.evaluations, last=self.ended)
        self.onboarding.play(self.done, last=self.ended)
        self.keeper.played(self.done, self.evaluations if due else (), last=self.ended)
        self._tell_round(len(report.cohort), report.train_loss, evaluation)

    def _telemetry(self) -> dict[str, float]:
        before = self.rounds[-1] if self.rounds else None
        return self.simulation.crossing.telemetry(self.simulation.server, self.done - 1, before)

    def _evaluate(self) -> tuple[Evaluation, int]:
        table, steps = self.simulation.evaluate(self.done, take=self.predictions.take)
        self.evaluations.append(table)
        generic = None if self.stages is None else evaluate_generic(self.simulation, self.done)
        if self.stages is not None and generic is not None:
            self.stages.append(generic)
        val = client_table(table, "val").accuracy[0]
        return Evaluation(
            round=self.done, val_mean=float(val.mean()), val_worst_decile=worst_tenth(val)
        ), steps

    def _tables(self) -> dict[str, pd.DataFrame]:
        federation = self.planned.federation
        counts = class_counts(federation)
        clients = client_facts(counts, federation.groups, federation.coordinates, federation.names)
        progress = self.onboarding.numbered(self._progress())
        return {**progress, "partition": counts, "clients": clients}

    def _progress(self) -> dict[str, pd.DataFrame]:
        """Return the tables that grow, which the partition does not."""
        if len(self.evaluations) > 1:
            self.evaluations = [pd.concat(self.evaluations, ignore_index=True)]
        return {
            "metrics": self.evaluations[0] if self.evaluations else pd.DataFrame(),
            "rounds": pd.DataFrame(self.rounds),
            "messages": self.simulation.traffic.table(),
            **self.onboarding.tables(),
            "participation": self.simulation.register.table(),
            **({STAGES: pd.concat(self.stages, ignore_index=True)} if self.stages else {}),
            **tables(self.planned.privacy, self.simulation.privacy.table()),
        }

    def _save(self) -> None:
        began = time.perf_counter()
        parts = self.simulation.parts()
        self.writer.checkpoint(
            self.done, next(parts, {}), self._progress(), self._counters(), parts
        )
        self.saved = time.perf_counter()
        self.save_after = CHECKPOINT_SECONDS * max(1.0, (self.saved - began) / CHECKPOINT_COST)

    def _counters(self) -> dict[str, Any]:
        return {"seconds": self._seconds(), "not_forgotten": [*self.simulation.unforgettable]}

    def _summary(self) -> dict[str, Any]:
        metrics = self.evaluations[0] if len(self.evaluations) == 1 else self._tables()["metrics"]
        val, test = client_table(metrics, "val"), client_table(metrics, "test")
        chosen = selected_round(val)
        traffic, rounds = self.simulation.traffic, pd.DataFrame(self.rounds)
        return {
            "selected_round": chosen,
            "test_accuracy": float(test.at(chosen).mean()),
            "test_accuracy_last": float(test.means()[-1]),
            "test_accuracy_best": float(test.means().max()),
            "test_worst_decile": worst_tenth(test.at(chosen)),
            "val_accuracy": float(val.at(chosen).mean()),
            "rounds": self.done,
            "clients": self.planned.federation.clients,
            "parameters": self.simulation.task.layout.columns,
            "bytes_up": traffic.total("up"),
            "bytes_down": traffic.total("down"),
            "local_steps": int(rounds["steps"].sum()),
            "adapt_steps": int(rounds["adapt_steps"].sum()),
            "seconds": self._seconds(),
            "not_forgotten": self.simulation.not_forgotten,
            **guarantee(self.planned.privacy, self.simulation.privacy.table()),
            **self.onboarding.summary(float(test.means()[-1])),
            "index_hashes": dict(self.planned.federation.index_hashes),
        }

    def _fail(self, error: Exception) -> None:
        """Store a failed run with its reason, except for bad disks and bad input."""
        kept = DivergedError, PeerFailedError, PluginError, ImportChangesError
        if isinstance(error, PflbenchError) and not isinstance(error, kept):
            return
        failure: dict[str, Any] = {
            "error": type(error).__name__,
            "message": shortened(str(error)),
            "round": self.done + 1,
            "client": None,
            "step": None,
        }
        if isinstance(error, DivergedError):
            failure.update(round=error.round, client=error.client, step=error.step)
        if isinstance(error, PeerFailedError):
            failure.update(error=error.name, message=error.message)
        tables = self._tables() if hasattr(self, "simulation") else {}
        self.writer.fail(tables, failure)
        self.observers.notify("failed", error)

    def _seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.began

    def _tell_start(self) -> None:
        cell, p = self.planned.cell, self.planned
        sharing = p.sharing(self.group.size)
        info = RunInfo(
            run_id=cell.id,
            algorithm=str(cell.algorithm.name),
            dataset=p.dataset,
            partition=", ".join(
                str(choice)
                for choice in (self.scenario.partition, self.scenario.population)
                if choice is not None
            )
            + population_in_numbers(self.scenario, p.registry),
            clients=self.scenario.clients,
            rounds=self.scenario.rounds,
            seed=cell.seed,
            device=str(p.device),
            engine=p.engine,
            folder=self.folder,
            source=p.federation.source,
            notice=" ".join(filter(None, (p.notice, p.remark))),
            processes=self.group.size,
            start_round=self.done,
            precision=self.scenario.precision,
            chunk=sharing.rows,
            chunk_cores=sharing.cores,
            attendance=", ".join(attendance(self.scenario, p.registry)),
            settled=", ".join(off_default(self.scenario)),
        )
        self.began_at_round, self.began = self.done, time.perf_counter()
        self.observers.notify("started", info)

    def _tell_round(self, cohort: int, train_loss: float, evaluation: Evaluation | None) -> None:
        seconds = time.perf_counter() - self.began
        pace = seconds / (self.done - self.began_at_round)
        traffic = self.simulation.traffic
        progress = Progress(
            round=self.done,
            rounds=self.done if self.ended else self.scenario.rounds,
            cohort=cohort,
            train_loss=train_loss,
            bytes_up=traffic.total("up"),
            bytes_down=traffic.total("down"),
            seconds=seconds,
            seconds_left=0.0 if self.ended else pace * (self.scenario.rounds - self.done),
            evaluation=evaluation,
        )
        self.observers.notify("round_done", progress)
