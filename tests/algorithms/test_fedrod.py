"""FedRoD's generic part is blind to the personal head, which is blind to what others predict."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_federations import federation_of, simulate
from torch import Tensor

from pflbench.engine import Simulation
from pflbench.method import LocalBudget, Sgd
from pflbench_algorithms.fedrod import FedRoD

CLIENT = "pflbench_algorithms.fedrod.client:FedRoDClient"


def made(engine: str = "stacked", **options: Any) -> Simulation:
    return simulate(
        CLIENT, parameters=options.pop("parameters", FedRoD()), engine=engine, **options
    )


def test_with_equal_class_counts_the_generic_part_is_fedavg() -> None:
    data = federation_of((9, 9, 9))
    for k in range(3):
        data.train.y[9 * k : 9 * k + 9] = torch.arange(9) % 3
    both = made(federation=data), simulate(federation=data)
    for r in range(2):
        for one in both:
            one.round(r)
    w, plain = (one.server.w for one in both)  # type: ignore[attr-defined]
    torch.testing.assert_close(w, plain, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_a_step_is_that_of_the_paper(engine: str) -> None:
    data = federation_of((6,))
    sim = made(engine, federation=data, optimiser=Sgd(0.1), budget=LocalBudget(6, steps=1))
    task, w0 = sim.task, sim.task.initial
    x, y = data.train.client(0)
    x, counts = x.double(), torch.bincount(y, minlength=3).double()
    head = task.layout.block("head")
    sim.round(0)

    def generic(w: Tensor) -> Tensor:
        return F.cross_entropy(task.logits(w, x) + counts.log(), y)

    def personal(rho: Tensor) -> Tensor:
        z = task.features(w0, x)
        return F.cross_entropy(task.classify(w0, z) + task.classify(head.put(w0, rho), z), y)

    rho0 = head.take(w0)
    torch.testing.assert_close(sim.server.w, w0 - 0.1 * torch.func.grad(generic)(w0))  # type: ignore[attr-defined]
    torch.testing.assert_close(sim.states["rho"][0], rho0 - 0.1 * torch.func.grad(personal)(rho0))


def test_personal_heads_never_cross() -> None:
    sim, plain = made(), simulate()
    ours, theirs = sim.round(0), plain.round(0)
    assert (ours.bytes_up, ours.bytes_down) == (theirs.bytes_up, theirs.bytes_down)
