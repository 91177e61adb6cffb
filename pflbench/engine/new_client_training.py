"""Onboarding: clients that never took part in training join, with labels or without.

A new client is in no round, and the server keeps nothing of it: joining is computed with the
simulation's client, server and engine, and measured. The simulation does not change.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.func import vmap

from pflbench.engine.batches import draw_batches
from pflbench.engine.divergence import refuse_divergence, refuse_ruined_models
from pflbench.engine.draws import seeds_of
from pflbench.engine.enrolment import enrolments
from pflbench.engine.evaluation import measure
from pflbench.engine.gathering import row
from pflbench.engine.interface import LocalShards, LocalWork, Padded, predicts
from pflbench.engine.preparation import prepared
from pflbench.engine.simulation import Simulation
from pflbench.engine.threads import steady
from pflbench.engine.traffic import bytes_of
from pflbench.engine.upload_noise import Protection
from pflbench.errors import DivergedError
from pflbench.federation import Federation, Shards
from pflbench.method import Client, LocalBudget, Message, Rows, Samples, State
from pflbench.schema.new_clients import ALL, NOTHING, NewClients, labelled
from pflbench.streams import stream

ZERO_SHOT: Final = "zero-shot"
K_SHOT: Final = "k-shot"

TRAINED: Final = "/trained"
"""Name of the trained model in the uploads of new clients."""

_TOGETHER = 256
"""Number of new clients that join together, to limit the models in memory."""


@dataclass(frozen=True, eq=False)
class Joined:
    """The results of K new clients.

    Attributes
    ----------
    models
        [K, P] their personal models.
    outputs
        Their predictions on samples of theirs.
    labels
        [K] int64 labelled samples that each had.
    steps
        [K] int64 gradient steps of each.
    bytes_down, bytes_up
        [K] int64 of each one's messages.
    seconds
        Wall time of all together.
    """

    models: Tensor
    outputs: Callable[[Shards], Padded]
    labels: np.ndarray
    steps: np.ndarray
    bytes_down: np.ndarray
    bytes_up: np.ndarray
    seconds: float


class NewClientTraining:
    """The clients that are held out of a simulation.

    Parameters
    ----------
    simulation
        Of the participants.
    federation
        The new clients' data.
    numbers
        [K] their numbers, which name their random streams.
    """

    def __init__(
        self, simulation: Simulation, federation: Federation, numbers: Sequence[int]
    ) -> None:
        self.simulation, self.federation = simulation, federation
        self.numbers = [int(number) for number in numbers]
        if len(self.numbers) != federation.clients:
            raise ValueError(f"{federation.clients} new clients have {len(self.numbers)} numbers")

    @steady()
    def table(self, r: int, plan: NewClients) -> pd.DataFrame:
        """Onboard all new clients after r rounds, without labels and as often as the plan says.

        Returns
        -------
        round, client, stage, shots, labels, samples, correct, loss, bytes_down, bytes_up, steps,
        seconds: one row for each new client and number of shots, metrics on its test split.

        Raises
        ------
        DivergedError
            A new client's training loss or its model's loss became NaN or infinite.
        """
        frames = []
        for shots in (NOTHING, *plan.shots):
            for begin in range(0, len(self.numbers), _TOGETHER):
                who = list(range(begin, min(begin + _TOGETHER, len(self.numbers))))
                try:
                    joined = self.join(who, shots, plan.steps, r)
                    frames.append(self._measured(who, joined, r, shots))
                except DivergedError as error:
                    raise DivergedError(r, error.client, error.step, new_client=True) from None
        return pd.concat(frames, ignore_index=True)

    @steady()
    def join(self, who: Sequence[int], shots: str, steps: int, r: int = 0) -> Joined:
        """Onboard some new clients, each as if alone.

        Parameters
        ----------
        who
            Their places among the new clients, not their numbers.
        shots
            Labelled samples of each class, as a text: "0" for none, "all" for all.
        steps
            Local steps that each may do, if it has labels.
        r
            Rounds that were played.
        """
        sim, numbers = self.simulation, [self.numbers[i] for i in who]
        sizes = self.federation.train.sizes[list(who)]
        drawn = [
            labelled(self._labels(i), shots, sim.seed, number)
            for i, number in zip(who, numbers, strict=True)
            if shots != NOTHING
        ]
        labels = np.array([len(index) for index in drawn] or np.zeros_like(sizes))
        data = self._data(who, shots, drawn)
        self._wait()
        began = time.perf_counter()
        with torch.no_grad():
            joining = _Joining(
                sim, data, numbers, shots=shots, steps=steps if drawn else 0, rounds=r
            )
            with sim.crossing.call("onboard"):
                models = joining.models(sim.server.onboard(joining))
                sim.crossing.fit_models(models, len(who))
        self._wait()
        return Joined(
            models=models,
            outputs=partial(joining.outputs, models),
            labels=labels,
            steps=np.full(len(who), joining.gradients),
            bytes_down=np.full(len(who), joining.bytes_down),
            bytes_up=joining.bytes_up,
            seconds=time.perf_counter() - began,
        )

    def _measured(self, who: list[int], joined: Joined, r: int, shots: str) -> pd.DataFrame:
        numbers = [self.numbers[i] for i in who]
        with torch.no_grad():
            test = self._on(self.federation.test.only(who))
            values = measure(joined.outputs(test))
        refuse_ruined_models(values["loss"], numbers, r)
        return pd.DataFrame(
            {
                "round": r,
                "client": numbers,
                "stage": ZERO_SHOT if shots == NOTHING else K_SHOT,
                "shots": shots,
                "labels": joined.labels,
                **{name: values[name].cpu().numpy() for name in ("samples", "correct", "loss")},
                "bytes_down": joined.bytes_down,
                "bytes_up": joined.bytes_up,
                "steps": joined.steps,
                "seconds": joined.seconds / len(who),
            }
        )

    def _labels(self, i: int) -> np.ndarray:
        y: np.ndarray = self.federation.train.client(i)[1].cpu().numpy()
        return y

    def _data(self, who: Sequence[int], shots: str, drawn: list[np.ndarray]) -> LocalShards:
        """Return the data that new clients may see: with some labels, only labelled samples."""
        train = self.federation.train.only(who)
        if shots == NOTHING:
            train = Shards(train.x, torch.full_like(train.y, -1), train.offsets)
            return LocalShards(self._on(train), self._on(train))
        if shots == ALL:
            return LocalShards(self._on(train), self._on(self.federation.val.only(who)))
        few = []
        for k, index in enumerate(drawn):
            x, y = train.client(k)
            chosen = torch.from_numpy(index).to(y.device)
            few.append((x[chosen], y[chosen]))
        shards = self._on(Shards.of(few))
        return LocalShards(shards, shards)

    def _on(self, shards: Shards) -> Shards:
        return shards.on(self.simulation.device, self.simulation.task.initial.dtype)

    def _wait(self) -> None:
        if self.simulation.device.type == "cuda":
            torch.cuda.synchronize(self.simulation.device)


class _Joining:
    """K new clients while they join: see `pflbench.method.Joining`."""

    def __init__(
        self,
        simulation: Simulation,
        data: LocalShards,
        numbers: list[int],
        *,
        shots: str,
        steps: int,
        rounds: int,
    ) -> None:
        self.labelled, self.steps_left, self.steps_done = steps > 0, steps, 0
        self.count, self.participants = len(numbers), _present(simulation, rounds)
        self._simulation, self._data, self._numbers = simulation, data, numbers
        self._rounds, self._client = rounds, _telling(simulation.client)
        self._places = list(range(len(numbers)))
        self._exchanges = 0
        self._privacy = Protection(
            simulation.privacy.rule,
            simulation.seed,
            data,
            numbers=numbers,
            role=f"privacy of newcomers {shots}, round {rounds}",
        )
        with simulation.crossing.call("enrol of a new client"):
            told = self._enrol()
            simulation.crossing.fit_messages(told)
        self.messages = self._privacy.enrolment(told, self._places)
        self.bytes_up = np.array([bytes_of(m) for m in self.messages], dtype=np.int64)
        self.bytes_down = 0
        self._states: Rows = {
            name: value.to(simulation.device).expand(self.count, *value.shape)
            for name, value in simulation.client.initial_state().items()
        }
        self._greeted, self._served = False, dict[str, Tensor]()
        budget = LocalBudget(simulation.task.budget.batch_size, steps=steps or None)
        role = f"onboarding {shots}"
        named = seeds_of(simulation.seed, f"{role} draws", rounds)
        self._seeds = lambda place, step: named(numbers[place], self.steps_done + step)
        self._batches = [
            draw_batches(stream(simulation.seed, role, number), size, budget)
            for number, size in zip(numbers, data.train.sizes.tolist(), strict=True)
            if steps
        ]

    def _enrol(self) -> list[Message]:
        client, engine = self._simulation.client, self._simulation.engine
        dtype = self._simulation.task.initial.dtype
        if self.labelled:
            mapped = engine.name == "stacked" and client.enrol_is_mapped
            return enrolments(client, self._data, dtype, self._places, mapped=mapped)
        told = []
        for k in self._places:
            x, y = self._data.train.client(k)
            told.append(client.enrol_unlabelled(Samples(x.clone(), y.clone(), x.new_ones(len(y)))))
        return told

    @property
    def gradients(self) -> int:
        """The gradients that each computed; clients without phases compute none."""
        trains = len(self._simulation.phases) > 0
        return self.steps_done * self._simulation.client.gradients_per_step * trains

    def train(self, received: Rows, steps: int | None = None) -> Rows:
        """See `pflbench.method.Joining`."""
        received = self._receive(received)
        uploads = self._train(received, self.steps_left if steps is None else steps)
        del uploads[TRAINED]
        places = torch.tensor(self._places)
        uploads = self._privacy.uploads(self._exchanges, places, uploads, received)
        self._exchanges += 1
        self.bytes_up += sum(_bytes_each(tensor) for tensor in uploads.values())
        return uploads

    def models(self, served: Rows) -> Tensor:
        """Do the remaining steps from the served messages; return the models [K, P]."""
        served = self._receive(served)
        kept = self._client.personal_model == "kept"
        self._served = {} if kept else served
        if self.steps_left:
            trained = self._train(served, self.steps_left)[TRAINED]
            if not kept:
                if "model" in served:
                    self._served = {**served, "model": self._client.split(trained)[1]}
                return trained
        engine, client = self._simulation.engine, self._simulation.client
        with self._reading(served):
            sim, given = self._simulation, self._served
            states = prepared(sim, self._states, given, self._data, self._places)
            return engine.personal(client, states, given)

    def outputs(self, models: Tensor, test: Shards) -> Padded:
        """Return what the new clients predict on their samples, after `models`."""
        engine, client, who = self._simulation.engine, self._simulation.client, range(self.count)
        if not predicts(client):
            return engine.logits(models, test, who)
        with self._reading(self._served):
            return engine.predictions(client, self._states, self._served, test, who, self._data)

    def _receive(self, rows: Rows) -> Rows:
        """Give messages to new clients; the first one may change their state."""
        self._simulation.crossing.fit_rows(rows, self.count, "new clients")
        rows = {name: tensor.detach() for name, tensor in rows.items()}
        self.bytes_down += sum(_bytes_each(tensor) for tensor in rows.values())
        if not self._greeted:
            self._greeted = True
            stacked = self._simulation.engine.name == "stacked"
            with self._reading(rows):
                self._states = _each(self._client.join, self._states, rows, self.count, stacked)
        return rows

    def _reading(self, rows: Rows) -> AbstractContextManager[None]:
        sim = self._simulation
        return sim.crossing.reading(rows, "onboard", partial(sim.traffic.kinds, "down"))

    def _train(self, received: Rows, steps: int) -> Rows:
        if not 1 <= steps <= self.steps_left:
            raise ValueError(f"new clients have {self.steps_left} steps left, not {steps}")
        done = slice(self.steps_done, self.steps_done + steps)
        self.steps_done, self.steps_left = self.steps_done + steps, self.steps_left - steps
        # The phases of a round share the steps, as evenly as they can; those of which a client
        # decides the passes have none, since their number is not known.
        every = [phase for phase in self._simulation.phases if not phase.passes]
        cut = np.linspace(done.start, done.stop, len(every) + 1).round().astype(int)
        parts = [(p, slice(*cut[i : i + 2])) for i, p in enumerate(every) if cut[i] < cut[i + 1]]
        phases = tuple(phase for phase, _ in parts)
        batches = [[drawn[part] for drawn in self._batches] for _, part in parts]
        work = LocalWork(
            client=self._client,
            states=self._states,
            received=received,
            clients=self._places,
            data=self._data,
            batches=batches,
            phases=phases,
            seeds=self._seeds,
        )
        with torch.enable_grad(), self._reading(received):
            trained = self._simulation.engine.train(work)
        refuse_divergence(trained, self._numbers, self._rounds - 1)
        self._states = trained.states
        return dict(trained.uploads)


def _present(simulation: Simulation, rounds: int) -> Tensor:
    """Return the clients that are present after some rounds, [M]; all of them if none is."""
    who = simulation.participation
    there = (who.arrivals() < max(rounds, 1)) & (who.departures() >= max(rounds, 1))
    if not there.any():
        there[:] = True
    return torch.from_numpy(np.flatnonzero(there)).to(simulation.device)


def _telling(client: Client[Any]) -> Client[Any]:
    """Return the client half with one change: its uploads also hold the trained model."""
    kind = type(client)

    def finish(
        self: Client[Any], state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        kept, upload = kind.finish(self, state, carry, received, context)
        return kept, {**upload, TRAINED: carry["w"]}

    telling = copy.copy(client)
    # A class of its own: engines look at which places the client's class overrides.
    telling.__class__ = type(kind.__name__, (kind,), {"finish": finish})
    return telling


def _each(
    join: Callable[[State, Message], State], states: Rows, received: Rows, count: int, stacked: bool
) -> Rows:
    """Map `join` over the rows."""
    if stacked and (states or received):
        mapped: Rows = vmap(join)(states, received)
        return mapped
    each = [join(row(states, k), row(received, k)) for k in range(count)]
    return {name: torch.stack([one[name] for one in each]) for name in each[0]}


def _bytes_each(rows: Tensor) -> int:
    """Return the bytes of one of the rows."""
    return rows[0].numel() * rows.element_size()
