"""The reference methods as plain PyTorch loops: modules, autograd and torch.optim."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pflbench.engine import Simulation
from pflbench.engine.batches import seeded_batches
from pflbench.method import LocalBudget, Sgd

Penalty = Callable[[nn.Module], Tensor]


def module_of(simulation: Simulation, w: Tensor) -> nn.Module:
    """The simulation's network with a row's parameters."""
    module = copy.deepcopy(simulation.task.module)
    with torch.no_grad():
        torch.nn.utils.vector_to_parameters(w.clone(), module.parameters())
    return module


def row_of(module: nn.Module) -> Tensor:
    return torch.nn.utils.parameters_to_vector(module.parameters()).detach().clone()


def train(
    simulation: Simulation,
    w: Tensor,
    client: int,
    round: int,
    *,
    penalty: Penalty | None = None,
    role: str = "batches",
    budget: LocalBudget | None = None,
    clip: float | None = None,
) -> Tensor:
    """One client's local training: a fresh torch.optim.SGD over the same batches."""
    sgd: Sgd = simulation.task.optimiser
    module = module_of(simulation, w)
    optimiser = torch.optim.SGD(
        module.parameters(), lr=sgd.lr, momentum=sgd.momentum, weight_decay=sgd.weight_decay
    )
    x, y = simulation.federation.train.client(client)
    draw = seeded_batches(
        simulation.seed, role, simulation.federation.train.sizes, budget or simulation.task.budget
    )
    for indices in draw(client, round):
        picked = torch.from_numpy(indices[indices >= 0])
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(module(x[picked].to(w.dtype)), y[picked])
        if penalty is not None:
            loss = loss + penalty(module)
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(module.parameters(), clip)
        optimiser.step()
    return row_of(module)


def average(simulation: Simulation, cohort: list[int], rows: list[Tensor]) -> Tensor:
    sizes = [len(simulation.federation.train.client(i)[1]) for i in cohort]
    total = sum(n * row for n, row in zip(sizes, rows, strict=True))
    return total / sum(sizes)


def assert_rows(got: Tensor, expected: Tensor, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)
