"""Checks that no test number leaks to a method through its distribution's other plugins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pflbench.conformance.catalogue import Catalogue, Skipped, Subject
from pflbench.conformance.check_isolation import with_noise
from pflbench.conformance.lab import (
    CLASSES,
    SAME,
    Arrays,
    arrays,
    expect_same,
    simulation,
    snapshot,
)
from pflbench.engine.evaluation import Metric
from pflbench.federation import Federation
from pflbench.runs.observer import Evaluation, Observer, Progress, RunInfo
from pflbench.runs.result import Result
from pflbench.schema.specs import MetricSpec, ObserverSpec, resolve

CHECKS = Catalogue()
_ROUNDS = 3


@CHECKS.add("no test number comes back by its plugin's metrics and observers")
def blind_to_test_numbers(subject: Subject) -> None:
    """With the metrics and observers of its distribution, which are notified as in a run.

    Observers get a run's test numbers at its end: the next run must not depend on them.
    """
    metrics: dict[str, Metric] = {
        spec.name: resolve(spec.function, owner=f"metric {spec.name!r}")
        for spec in subject.companions
        if isinstance(spec, MetricSpec)
    }
    makers = [
        resolve(spec.make, owner=f"observer {spec.name!r}")
        for spec in subject.companions
        if isinstance(spec, ObserverSpec) and not spec.opt_in  # others are named by users
    ]
    if not metrics and not makers:
        raise Skipped("its plugin brings no metric and no observer")
    own = arrays()
    other = [with_noise(client, i, ("test",)) for i, client in enumerate(own)]
    first = _played(subject, own, metrics, [make() for make in makers])
    second = _played(subject, own, metrics, [make() for make in makers])
    expect_same(second, first, SAME, "The same run again, after one was over")
    for what in ("With other test data for metrics and observers", "In the run after that"):
        changed = _played(subject, other, metrics, [make() for make in makers])
        expect_same(changed, first, SAME, what)


def _played(
    subject: Subject,
    given: Sequence[Arrays],
    metrics: Mapping[str, Metric],
    observers: Sequence[Observer],
) -> dict[str, Tensor]:
    """Execute a run as `pflbench run` does; return the results of training."""
    data = Federation.from_arrays(list(given), classes=CLASSES)
    sim = simulation(subject, data, metrics=metrics)
    info = RunInfo(
        run_id="0" * 12,
        algorithm=subject.spec.name,
        dataset="arrays",
        partition="as-is",
        clients=data.clients,
        rounds=_ROUNDS,
        seed=0,
        device="cpu",
        engine=sim.engine.name,
        folder=None,
        source="",
        notice="",
        start_round=0,
    )
    for observer in observers:
        observer.started(info)
    losses = []
    for r in range(_ROUNDS):
        report = sim.round(r)
        losses += [report.train_loss] if sim.phases else []
        table, _ = sim.evaluate(r + 1)
        accuracy = (table["correct"] / table["samples"])[table["split"] == "val"]
        heard = Evaluation(r + 1, float(accuracy.mean()), float(accuracy.min()))
        progress = Progress(
            r + 1,
            _ROUNDS,
            len(report.cohort),
            report.train_loss,
            report.bytes_up,
            report.bytes_down,
            1.0,
            0.0,
            heard,
        )
        for observer in observers:
            observer.round_done(progress)
    accuracy = (table["correct"] / table["samples"])[table["split"] == "test"]
    summary: dict[str, Any] = {
        "selected_round": _ROUNDS,
        "test_accuracy": float(accuracy.mean()),
        "test_worst_decile": float(accuracy.min()),
        "seconds": 1.0,
    }
    for observer in observers:
        observer.finished(Result(info.run_id, {}, summary, None, lambda name: table))
    seen = {f"the state {name!r}": value for name, value in snapshot(sim.state()).items()}
    return {**seen, "the training losses": torch.tensor(losses)}
