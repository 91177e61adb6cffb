"""Checks that clients that never trained can join without effect on other clients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from pflbench.conformance.catalogue import Catalogue, CheckFailed, Subject
from pflbench.conformance.lab import (
    CLOSE,
    SAME,
    differs,
    expect_same,
    federation,
    simulation,
    snapshot,
)
from pflbench.engine import Simulation
from pflbench.engine.new_client_training import Joined, NewClientTraining
from pflbench.schema.new_clients import ALL, NOTHING

CHECKS = Catalogue()

_SIZES = (12, 9, 7, 5, 12, 3, 8)
_HELD = np.array([1, 4, 5])
_EVERY_SHOTS = (NOTHING, "1", ALL)
_STEPS = 6
_ENGINES = ("sequential", "stacked")


@CHECKS.add("new clients join, with labels and without")
def new_clients_join(subject: Subject) -> None:
    """Before the first round and later, also when some clients did not take part."""
    for engine in _ENGINES:
        for rounds in (0, 2):
            sim, new_clients = _made(subject, engine, participation=0.6)
            _play(sim, rounds)
            models = {}
            for shots in _EVERY_SHOTS:
                joined = _join(new_clients, shots, rounds)
                what = f"Joining with {shots} labels of a class after {rounds} rounds ({engine})"
                expected = (len(_HELD), sim.task.layout.columns)
                if tuple(joined.models.shape) != expected or not joined.models.isfinite().all():
                    raise CheckFailed(f"{what}: the models are no finite rows {list(expected)}.")
                models[shots] = joined.models
            if sim.phases and not differs({"": models[ALL]}, {"": models[NOTHING]}):
                raise CheckFailed(
                    f"After {rounds} rounds, new clients with labels have the models of those "
                    f"without ({engine})."
                )


@CHECKS.add("new clients change no other client")
def new_clients_change_nobody(subject: Subject) -> None:
    """State and personal models stay bit for bit; the run continues as if no client had joined."""
    for engine in _ENGINES:
        visited, new_clients = _made(subject, engine)
        alone, _ = _made(subject, engine)
        for r in range(3):
            visited.round(r)
            alone.round(r)
            before = _seen(visited)
            for shots in _EVERY_SHOTS:
                _join(new_clients, shots, r + 1)
            what = f"A run that new clients joined after round {r + 1} ({engine})"
            expect_same(_seen(visited), before, 0.0, what)
        expect_same(
            _seen(visited), _seen(alone), SAME, f"A run with and one without new clients ({engine})"
        )


@CHECKS.add("new clients: stacked equals sequential")
def new_clients_stacked_equals_sequential(subject: Subject) -> None:
    """Models, and the cost of joining."""
    one, other = (_made(subject, engine) for engine in ("stacked", "sequential"))
    for sim, _ in (one, other):
        _play(sim, 2)
    for shots in _EVERY_SHOTS:
        stacked, sequential = (_join(new_clients, shots, 2) for _, new_clients in (one, other))
        what = f"New clients with {shots} labels of a class, stacked and sequential"
        expect_same(_numbers(stacked), _numbers(sequential), CLOSE, what)


@CHECKS.add("a new client joins as if alone")
def new_clients_join_alone(subject: Subject) -> None:
    """With any other joining clients, it ends with the same model for the same bytes."""
    for engine in _ENGINES:
        sim, new_clients = _made(subject, engine)
        _play(sim, 2)
        for shots in _EVERY_SHOTS:
            together = _numbers(_join(new_clients, shots, 2))
            for k in range(len(_HELD)):
                alone = _numbers(_join(new_clients, shots, 2, [k]))
                own = {name: rows[[k]] for name, rows in together.items()}
                what = f"A new client with {shots} labels of a class, alone and among others"
                expect_same(alone, own, CLOSE, f"{what} ({engine})")


def _made(
    subject: Subject, engine: str, participation: float = 1.0
) -> tuple[Simulation, NewClientTraining]:
    data = federation(_SIZES)
    there = np.setdiff1d(np.arange(len(_SIZES)), _HELD)
    sim = simulation(subject, data.only(there), engine=engine, participation=participation)
    return sim, NewClientTraining(sim, data.only(_HELD), _HELD.tolist())


def _play(sim: Simulation, rounds: int) -> None:
    for r in range(rounds):
        sim.round(r)


def _join(
    new_clients: NewClientTraining, shots: str, rounds: int, who: Sequence[int] = range(len(_HELD))
) -> Joined:
    return new_clients.join(who, shots, _STEPS, rounds)


def _seen(sim: Simulation) -> dict[str, torch.Tensor]:
    seen = {f"the state {name!r}": value for name, value in snapshot(sim.state()).items()}
    return {**seen, "the personal models": sim.personal(sim.everyone).clone()}


def _numbers(joined: Joined) -> dict[str, torch.Tensor]:
    counts = ("labels", "steps", "bytes_down", "bytes_up")
    told = {f"their {name}": torch.as_tensor(getattr(joined, name)) for name in counts}
    return {"their models": joined.models, **told}
