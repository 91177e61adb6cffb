"""Checks that small clients, small cohorts and uneven federations work, and do train."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from pflbench.conformance.catalogue import Catalogue, CheckFailed, Subject
from pflbench.conformance.lab import (
    CLASSES,
    CLOSE,
    EPOCHS,
    Arrays,
    Tap,
    arrays,
    begun,
    clients,
    differs,
    distance,
    expect_same,
    expect_training_clients,
    federation,
    play,
    simulation,
    snapshot,
)
from pflbench.engine import Simulation
from pflbench.federation import Federation
from pflbench.method import Rows
from pflbench.schema.shares import count_of

CHECKS = Catalogue()
_SMALL = (12, 1, 3, 7, 12)
_HELD = (6, 1, 2, 5, 1)
_ENGINES = ("sequential", "stacked")


@CHECKS.add("one-client cohorts work and train")
def one_client_cohort(subject: Subject) -> None:
    """Round after round with one client, again and for the first time."""
    expect_training_clients(subject)
    for engine in _ENGINES:
        sim, first = begun(simulation(subject, engine=engine))
        for r, k in enumerate((3, 0, 3), first):
            _expect_training(sim, r, k)


@CHECKS.add("a federation of one client works and trains")
def one_client_federation(subject: Subject) -> None:
    """No other client exists to learn from."""
    expect_training_clients(subject)
    for engine in _ENGINES:
        sim, first = begun(simulation(subject, federation((9,)), engine=engine))
        for r in range(first, first + 2):
            _expect_training(sim, r, 0)


@CHECKS.add("a client of one sample trains")
def one_sample_client(subject: Subject) -> None:
    """Alone in its round, and among others."""
    expect_training_clients(subject)
    _expect_training_of(subject, 1)


@CHECKS.add("a client smaller than a batch trains")
def smaller_than_a_batch(subject: Subject) -> None:
    """Alone in its round, and among others."""
    expect_training_clients(subject)
    _expect_training_of(subject, 2)


@CHECKS.add("every training sample counts")
def every_sample_counts(subject: Subject) -> None:
    """Changing any one sample of a small client changes what it computes: none is dropped."""
    expect_training_clients(subject)
    own = arrays(_SMALL, _HELD)
    for k in (1, 2, 3):
        tap, base = _one_round(subject, own, k, None)
        for s in range(_SMALL[k]):
            x = own[k]["train_x"].copy()
            x[s] += 1.0
            changed = [{**c, "train_x": x} if i == k else c for i, c in enumerate(own)]
            _, other = _one_round(subject, changed, k, tap.sent)
            if not differs(base, other):
                raise CheckFailed(
                    f"A client of {_SMALL[k]} samples with batches of {EPOCHS.batch_size} computes "
                    f"the same when its sample {s} is changed: the sample is not used."
                )


@CHECKS.add("uneven clients train equally in both engines")
def uneven_clients(subject: Subject) -> None:
    """Sizes from 1 to 23: no client learns from padding, in any chunk."""
    data = federation((1, 23, 3, 8, 14), (1, 5, 9, 2, 3))
    reference = play(simulation(subject, data), range(3))
    for chunk in (None, 2):
        stacked = simulation(subject, data, engine="stacked", chunk=chunk)
        expect_same(
            play(stacked, range(3)),
            reference,
            CLOSE,
            f"Stacked ({'whole' if chunk is None else f'chunks of {chunk}'}) and sequential, "
            "clients of 1 to 23 samples",
        )


@CHECKS.add("batches larger than every client work")
def large_batches(subject: Subject) -> None:
    """A batch size above all clients' sizes is each client's own size."""
    expect_training_clients(subject)
    sizes = (5, 2, 9)
    data = federation(sizes)
    wide = replace(EPOCHS, batch_size=1000)
    for engine in _ENGINES:
        sim, first = begun(simulation(subject, data, engine=engine, budget=wide))
        for k in range(len(sizes)):
            _expect_training(sim, first + k, k)


def _expect_training_of(subject: Subject, k: int) -> None:
    data = federation(_SMALL, _HELD)
    for engine in _ENGINES:
        alone, first = begun(simulation(subject, data, engine=engine))
        for r in range(first, first + 2):
            _expect_training(alone, r, k)
        among = simulation(subject, data, engine=engine)
        report = among.round(0, among.everyone)
        least = sum(_gradients(among, n) for n in _SMALL)
        most = sum(_gradients(among, n, passes=True) for n in _SMALL)
        if not least <= report.steps <= most:
            raise CheckFailed(
                f"Clients of {', '.join(map(str, _SMALL))} samples did {report.steps} gradient "
                f"steps in all, expected {_between(least, most)} ({engine})."
            )


def _expect_training(sim: Simulation, r: int, k: int) -> None:
    """Play a round with client k alone; fail unless it trains and its personal model changes."""
    who = clients(k)
    size = int(sim.federation.train.sizes[k])
    before = sim.personal(who).clone()
    report = sim.round(r, who)
    after = sim.personal(who)
    where = f"A client of {size} sample(s), alone in round {r + 1} ({sim.engine.name})"
    least, most = _gradients(sim, size), _gradients(sim, size, passes=True)
    if not least <= report.steps <= most:
        expected = _between(least, most)
        raise CheckFailed(f"{where}, did {report.steps} gradient steps, expected {expected}.")
    if not np.isfinite(report.train_loss) or report.train_loss <= 0:
        raise CheckFailed(f"{where}, has the training loss {report.train_loss}.")
    if not torch.isfinite(after).all():
        raise CheckFailed(f"{where}, has a personal model that is not finite.")
    if distance(after, before) == 0:
        raise CheckFailed(f"{where}, has the same personal model as before: it was not trained.")


def _gradients(sim: Simulation, n: int, *, passes: bool = False) -> int:
    """Return the gradients that a client of n samples computes in a round, in all phases.

    With `passes`, the client makes all passes of phases in which it decides their number, and
    otherwise none of them.
    """
    total = 0
    for phase in sim.client.phases():
        if phase.passes and not passes:
            continue
        budget, some = phase.budget or sim.task.budget, count_of(phase.share, n)
        steps = budget.steps
        if budget.epochs is not None:
            steps = budget.epochs * -(-some // min(budget.batch_size, some))
        assert steps is not None  # one of the two is set
        total += -(-steps // phase.multiple) * phase.multiple * max(phase.passes, 1)
    return total * sim.client.gradients_per_step


def _between(least: int, most: int) -> str:
    return str(least) if least == most else f"{least} to {most}"


def _one_round(
    subject: Subject, given: list[Arrays], k: int, sends: list[Rows] | None
) -> tuple[Tap, dict[str, torch.Tensor]]:
    """Play a round of client k alone; return its state and upload."""
    data = Federation.from_arrays(given, classes=CLASSES)
    sim = simulation(subject, data, enrolled=False)
    tap = Tap(sim, sends)
    sim.round(0, clients(k))
    states = {f"state {name}": rows[k] for name, rows in snapshot(sim.states).items()}
    return tap, {**states, **tap.uploads[0]}
