"""Checks of optimizers and schedules: the same step for one row and for rows, finite rates."""

from __future__ import annotations

from math import isfinite

import torch
from torch import Tensor

from pflbench.conformance.catalogue import Catalogue, CheckFailed, Subject
from pflbench.method import Optimiser, Schedule, State
from pflbench.schema.specs import OptimizerSpec, ScheduleSpec, resolve

CHECKS = Catalogue()
SCHEDULES = Catalogue()

_ROWS, _COLUMNS, _STEPS = 3, 7, 5


@CHECKS.add("a step of rows is a step of each")
def steps_rows_as_each(subject: Subject) -> None:
    """Several steps on a matrix give the same as on its rows one by one."""
    optimiser = _optimiser(subject)
    W = _drawn(0)
    state = optimiser.init(W)
    rows = [(w, optimiser.init(w)) for w in W]
    for s in range(1, _STEPS + 1):
        G = _drawn(s)
        W, state = optimiser.step(W, G, state, 0.05)
        rows = [optimiser.step(w, g, own, 0.05) for (w, own), g in zip(rows, G, strict=True)]
    if not torch.allclose(W, torch.stack([w for w, _ in rows]), rtol=1e-9, atol=1e-12):
        raise CheckFailed(
            "A matrix moved differently from its rows: compute along the last dimension."
        )


@CHECKS.add("a step changes nothing that it was given")
def steps_are_pure(subject: Subject) -> None:
    """Model, gradient and state are as before; the state keeps its names, shapes and types."""
    optimiser = _optimiser(subject)
    w, g = _drawn(0), _drawn(1)
    state = optimiser.init(w)
    before = {"w": w.clone(), "g": g.clone(), **{k: v.clone() for k, v in state.items()}}
    _, after = optimiser.step(w, g, state, 0.05)
    for name, value in {"w": w, "g": g, **state}.items():
        if not torch.equal(value, before[name]):
            raise CheckFailed(f"The step changed {name!r} in place: expected a new tensor.")
    if _kinds(after) != _kinds(state):
        raise CheckFailed(f"The state is {_kinds(after)} after a step, and was {_kinds(state)}.")


@CHECKS.add("a step goes downhill")
def goes_downhill(subject: Subject) -> None:
    """Steps along the gradient of a square bring its minimum nearer, at small rates."""
    optimiser = _optimiser(subject)
    w = _drawn(0)
    first, state = w.norm(), optimiser.init(w)
    for _ in range(20):
        w, state = optimiser.step(w, w, state, 1e-3)
    if not w.norm() < first:
        raise CheckFailed(f"‖w‖ went from {float(first):.4g} to {float(w.norm()):.4g}.")


@SCHEDULES.add("every round has a finite rate ≥ 0")
def rates_are_finite(subject: Subject) -> None:
    """For a thousand rounds, in any order."""
    assert isinstance(subject.spec, ScheduleSpec)
    make = resolve(subject.spec.make, owner=f"schedule {subject.spec.name!r}")
    schedule: Schedule = make(subject.parameters)
    forward = [schedule.factor(r) for r in range(1000)]
    for r, factor in enumerate(forward):
        if not (isfinite(factor) and factor >= 0):
            raise CheckFailed(f"Round {r} has the factor {factor}.")
    if [schedule.factor(r) for r in reversed(range(1000))] != forward[::-1]:
        raise CheckFailed("The factors differ when rounds are read backwards.")


def _optimiser(subject: Subject) -> Optimiser:
    assert isinstance(subject.spec, OptimizerSpec)
    make = resolve(subject.spec.make, owner=f"optimizer {subject.spec.name!r}")
    made: Optimiser = make(subject.parameters, 0.05, 1e-3, 0.0)
    return made


def _drawn(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(_ROWS, _COLUMNS, generator=generator, dtype=torch.float64)


def _kinds(state: State) -> dict[str, tuple[list[int], torch.dtype]]:
    return {name: (list(value.shape), value.dtype) for name, value in state.items()}
