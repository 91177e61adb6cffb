"""Tiny federations, a method that runs on them, and the messages between its halves."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pflbench.conformance.catalogue import CheckFailed, Skipped, Subject
from pflbench.engine import Simulation, drawing_weights
from pflbench.engine.evaluation import Metric
from pflbench.federation import Federation, Participation
from pflbench.method import LocalBudget, Message, Nature, Rows, Sgd
from pflbench.schema.specs import AlgorithmSpec
from pflbench.streams import stream

CLASSES = 4
SHAPE = (1, 6, 6)
SGD = Sgd(lr=0.1, momentum=0.9, weight_decay=1e-3)
EPOCHS = LocalBudget(batch_size=4, epochs=2)
STEPS = LocalBudget(batch_size=4, steps=3)
EQUAL = (12, 12, 12, 12, 12)
"""Training samples of each client in the plain federation."""

CLOSE = 5e-5
"""Allowed difference if the same numbers are added in another order (float32)."""

SAME = 1e-6
"""Allowed where the very same computation is repeated: a last bit that memory alignment moves."""

Arrays = dict[str, np.ndarray]


def arrays(sizes: Sequence[int] = EQUAL, evaluated: Sequence[int] | None = None) -> list[Arrays]:
    """Return clients' arrays: classes are blobs, and every client sees them shifted.

    Parameters
    ----------
    sizes
        Training samples of each client.
    evaluated
        Its validation and its test samples (default: 6).
    """
    centres = stream(0, "conformance").normal(size=(CLASSES, *SHAPE))
    clients = []
    for i, n in enumerate(sizes):
        rng = stream(0, "conformance", i)
        shift = rng.normal(scale=0.5, size=SHAPE)
        held = 6 if evaluated is None else evaluated[i]
        own: Arrays = {}
        for split, count in (("train", n), ("val", held), ("test", held)):
            y = rng.permutation((np.arange(count) + i) % CLASSES)
            noise = rng.normal(scale=0.3, size=(count, *SHAPE))
            own[f"{split}_x"] = (centres[y] + shift + noise).astype(np.float32)
            own[f"{split}_y"] = y
        clients.append(own)
    return clients


def federation(sizes: Sequence[int] = EQUAL, evaluated: Sequence[int] | None = None) -> Federation:
    """Return the federation of `arrays`."""
    return Federation.from_arrays(arrays(sizes, evaluated), classes=CLASSES)


def perceptron(seed: int = 0) -> nn.Module:
    """Return a small perceptron, with weights of the seed."""
    d = int(np.prod(SHAPE))
    with drawing_weights(seed):
        return nn.Sequential(
            OrderedDict(
                flatten=nn.Flatten(),
                layer_input=nn.Linear(d, 8),
                relu=nn.ReLU(),
                layer_output=nn.Linear(8, CLASSES),
            )
        )


def convolution() -> nn.Module:
    """Return a small convolutional network."""
    with drawing_weights(0):
        return nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(1, 2, 3),
                relu=nn.ReLU(),
                pool=nn.MaxPool2d(2),
                flatten=nn.Flatten(),
                layer_output=nn.Linear(8, CLASSES),
            )
        )


def simulation(
    subject: Subject,
    data: Federation | None = None,
    *,
    enrolled: bool = True,
    seed: int = 0,
    engine: str = "sequential",
    chunk: int | None = None,
    budget: LocalBudget = EPOCHS,
    participation: float | Participation = 1.0,
    module: nn.Module | None = None,
    metrics: Mapping[str, Metric] = {},
) -> Simulation:
    """Return a simulation of the method, by default one after the other on the plain federation."""
    assert isinstance(subject.spec, AlgorithmSpec)
    made = Simulation(
        subject.spec,
        subject.parameters,
        data or federation(),
        module or perceptron(seed),
        "layer_output.",
        seed=seed,
        optimiser=SGD,
        budget=budget,
        participation=participation,
        engine=engine,
        chunk=chunk,
        record=True,
        nature=Nature(),
        metrics=metrics,
    )
    if enrolled:
        made.enrol()
    return made


def expect_training_clients(subject: Subject) -> None:
    """Skip a check of local training if the method has none."""
    if not simulation(subject, enrolled=False).phases:
        raise Skipped("its clients do not train")


def begun(made: Simulation) -> tuple[Simulation, int]:
    """Play a method's preliminary rounds, with all clients; return the number of the next one."""
    for r in range(made.client.preliminary_rounds):
        made.round(r, made.everyone)
    return made, made.client.preliminary_rounds


def clients(*numbers: int) -> Tensor:
    """Return a cohort."""
    return torch.tensor(numbers, dtype=torch.int64)


def snapshot(rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies that nothing changes any more."""
    return {name: tensor.detach().clone() for name, tensor in rows.items()}


def play(
    sim: Simulation, rounds: Sequence[int], cohorts: Sequence[Tensor] | None = None
) -> dict[str, Tensor]:
    """Run rounds; return everything observable, by name."""
    seen: dict[str, Tensor] = {}
    for k, r in enumerate(rounds):
        report = sim.round(r, None if cohorts is None else cohorts[k])
        seen[f"the cohort of round {r + 1}"] = report.cohort.clone()
        if report.uploaded.any() and sim.phases:  # without training it is not a number
            seen[f"the training loss of round {r + 1}"] = torch.tensor(report.train_loss)
        for name, rows in report.received.items():
            seen[f"{name!r} as received in round {r + 1}"] = rows.detach().clone()
    return {**seen, **final(sim, rounds[-1] + 1)}


def final(sim: Simulation, r: int) -> dict[str, Tensor]:
    """Return the state, the personal models and their losses after r rounds."""
    seen = {f"the state {name!r}": value for name, value in snapshot(sim.state()).items()}
    seen["the personal models"] = sim.personal(sim.everyone).clone()
    table, _ = sim.evaluate(r)
    for split, part in table.groupby("split"):
        seen[f"the {split} loss"] = torch.tensor(part["loss"].to_numpy(dtype=np.float64))
    return seen


def distance(a: Tensor, b: Tensor) -> float:
    """Return max |a - b| / max(1, |b|); infinite if shapes or non-finite places differ."""
    if a.shape != b.shape:
        return float("inf")
    if a.numel() == 0 or torch.equal(a, b):
        return 0.0
    a, b = a.detach().to(torch.float64), b.detach().to(torch.float64)
    largest = ((a - b).abs() / b.abs().clamp(min=1.0)).max().item()
    return largest if largest == largest else float("inf")  # NaN is not itself


def expect_same(
    got: Mapping[str, Tensor], wanted: Mapping[str, Tensor], tolerance: float, what: str
) -> None:
    """Fail, with the largest difference, unless both hold the same numbers."""
    odd = sorted(set(got) ^ set(wanted))
    if odd:
        raise CheckFailed(f"{what}: only one of the two has {odd[0]}.")
    distances = {name: distance(got[name], wanted[name]) for name in wanted}
    worst = max(distances, key=distances.__getitem__, default="")
    if worst and distances[worst] > tolerance:
        raise CheckFailed(
            f"{what}: {worst} differs by {distances[worst]:.3g} (allowed: {tolerance:g})."
        )


def differs(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    """Return whether any number differs at all."""
    return set(a) != set(b) or any(distance(a[name], b[name]) > 0 for name in a)


@contextmanager
def scrambled(number: int) -> Iterator[None]:
    """Set the process's shared random generators to something else, and back afterwards."""
    python, legacy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            random.seed(number)
            np.random.seed(number)
            torch.manual_seed(number)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)


class Tap:
    """Copies of all that crosses between a simulation's halves.

    Parameters
    ----------
    sim
        A simulation that has not enrolled.
    sends
        Messages that clients receive, round by round, instead of the server's.

    Attributes
    ----------
    enrolments
        Each client's enrolment message.
    cohorts, sent, uploads
        By round.
    """

    def __init__(self, sim: Simulation, sends: Sequence[Rows] | None = None) -> None:
        self.enrolments: list[Message] = []
        self.cohorts: list[Tensor] = []
        self.sent: list[Rows] = []
        self.uploads: list[Rows] = []
        self._sends = sends
        server = sim.server
        self._enrol, self._send, self._aggregate = server.enrol, server.send, server.aggregate
        # On the object: a subclass of the server would not be the class that is checked.
        vars(server).update(enrol=self.enrol, send=self.send, aggregate=self.aggregate)
        sim.enrol()

    def enrol(self, cohort: Tensor, messages: list[dict[str, Tensor]]) -> None:
        """Copy, and hand on."""
        self.enrolments += [snapshot(message) for message in messages]
        self._enrol(cohort, messages)

    def send(self, round: int, cohort: Tensor) -> Rows:
        """Copy, and pass on the server's messages or the prescribed ones."""
        rows: dict[str, Any] = self._send(round, cohort)
        if self._sends is not None:
            rows = snapshot(self._sends[len(self.sent)])
        self.cohorts.append(cohort.clone())
        self.sent.append(snapshot(rows))
        return rows

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Copy, and hand on."""
        self.uploads.append(snapshot(uploads))
        self._aggregate(round, cohort, uploads)
