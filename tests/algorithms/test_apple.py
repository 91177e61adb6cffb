"""APPLE: its formulas, replayed with autograd through the mixture, and what it learns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from plain_torch import assert_rows
from small_federations import SGD, UNEVEN, arrays_of, federation_of, simulate
from torch import Tensor, nn
from torch.func import functional_call

from pflbench import Federation
from pflbench.engine import Simulation
from pflbench.engine.batches import seeded_batches
from pflbench.method import LocalBudget, Sgd
from pflbench_algorithms.apple import APPLE

CLIENT = "pflbench_algorithms.apple.client:APPLEClient"
SERVER = "pflbench_algorithms.apple.server:APPLEServer"


def of(parameters: APPLE, rounds: int = 0, **options: Any) -> Simulation:
    sim = simulate(CLIENT, SERVER, parameters=parameters, **options)
    for r in range(rounds):
        sim.round(r)
    return sim


def trained(
    sim: Simulation, cores: Tensor, p: Tensor, strength: float, client: int, r: int
) -> tuple[Tensor, Tensor, Tensor]:
    """One client's local training: the core model, p and the personal model."""
    core, p = cores[client].clone().requires_grad_(), p.clone().requires_grad_()
    p0 = torch.tensor(UNEVEN).double() / sum(UNEVEN)

    def mixture() -> Tensor:
        rows = [core if j == client else cores[j] for j in range(len(cores))]
        return p @ torch.stack(rows)

    sgd = torch.optim.SGD([core], lr=SGD.lr, momentum=SGD.momentum, weight_decay=SGD.weight_decay)
    slow = torch.optim.SGD([p], lr=sim.client.parameters.p_lr)
    x, y = sim.federation.train.client(client)
    draw = seeded_batches(sim.seed, "batches", sim.federation.train.sizes, sim.task.budget)
    for indices in draw(client, r):
        picked = torch.from_numpy(indices[indices >= 0])
        tensors = sim.task.layout.unflatten(mixture())
        outputs = functional_call(sim.task.module, tensors, (x[picked].double(),))
        held = strength / 2 * (p - p0).square().sum()
        for optimiser in (sgd, slow):
            optimiser.zero_grad()
        (nn.functional.cross_entropy(outputs, y[picked]) + held).backward()
        sgd.step()
        slow.step()
    return core.detach(), p.detach(), mixture().detach()


@pytest.mark.parametrize(
    ("engine", "decay"),
    [("stacked", "exponential"), ("stacked", "cosine"), ("sequential", "exponential")],
)
def test_rounds_follow_the_formulas(engine: str, decay: Any) -> None:
    sim = of(APPLE(p_lr=0.05, mu=0.7, horizon=3, decay=decay), engine=engine)
    N = len(UNEVEN)
    cores = sim.task.initial.expand(N, -1).clone()
    W = cores.clone()
    P = (torch.tensor(UNEVEN).double() / sum(UNEVEN)).repeat(N, 1)
    strengths = {
        "exponential": [0.7, 0.07, 0.007, 0.0],
        "cosine": [0.7, 0.7 * 0.75, 0.7 * 0.25, 0.0],
    }[decay]
    assert math.isclose(0.001 ** (1 / 3), 0.1)
    for r, cohort in enumerate(([0, 1, 2, 3, 4], [0, 2, 4], [3, 0], [1, 3])):
        sim.round(r, torch.tensor(cohort))
        found = [trained(sim, cores, P[k], strengths[r], k, r) for k in cohort]
        for k, (core, p, w) in zip(cohort, found, strict=True):
            cores[k], P[k], W[k] = core, p, w
        assert_rows(sim.server.cores.whole(), cores, 1e-8)
        assert_rows(sim.server.relatedness().similarity, P, 1e-8)
        assert_rows(sim.personal(sim.everyone), W, 1e-8)


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_with_fixed_equal_shares_one_step_is_fedavgs_at_an_nth_of_the_rate(engine: str) -> None:
    options: dict[str, Any] = {
        "federation": federation_of((6, 6, 6, 6)),
        "budget": LocalBudget(6, steps=1),
        "engine": engine,
    }
    sim = of(APPLE(p_lr=0.0), 3, optimiser=Sgd(lr=0.4), **options)
    fedavg = simulate(optimiser=Sgd(lr=0.1), **options)
    for r in range(3):
        fedavg.round(r)
    assert_rows(sim.server.cores.whole().mean(dim=0), fedavg.server.state()["w"])


def test_it_learns_whose_core_models_help() -> None:
    arrays = arrays_of((24, 24, 24, 24))
    for client in arrays[2:]:  # two clients call every class by another name
        client["train_y"] = np.asarray((client["train_y"] + 1) % 3)
    sim = of(APPLE(p_lr=0.01, mu=0.0), 10, federation=Federation.from_arrays(arrays, 3))
    P = sim.server.relatedness().similarity
    alike = torch.block_diag(torch.ones(2, 2), torch.ones(2, 2)).bool()
    others = alike & ~torch.eye(4, dtype=torch.bool)
    assert P[others].min() > P[~alike].max()


@pytest.mark.slow
def test_engines_agree_on_normalising_networks() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Flatten(), nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)
    )
    sims = [of(APPLE(), 3, module=module, head="4.", engine=e) for e in ("stacked", "sequential")]
    rows = [sim.personal(sim.everyone) for sim in sims]
    torch.testing.assert_close(*rows, rtol=1e-7, atol=1e-8)
