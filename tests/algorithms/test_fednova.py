"""FedNova: its formulas, replayed in plain loops, and what unequal numbers of steps do to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from plain_torch import assert_rows, train
from small_federations import UNEVEN, federation_of, simulate
from torch import Tensor, nn

from pflbench.engine import Simulation
from pflbench.engine.optimisers import Adam
from pflbench.errors import InputError
from pflbench.federation import Attendance
from pflbench.method import LocalBudget, Sgd
from pflbench_algorithms.fednova import FedNova

CLIENT = "pflbench_algorithms.fednova.client:FedNovaClient"
SERVER = "pflbench_algorithms.fednova.server:FedNovaServer"
ENGINES = pytest.mark.parametrize("engine", ["stacked", "sequential"])


def of(parameters: FedNova | None = None, **options: Any) -> Simulation:
    return simulate(CLIENT, SERVER, parameters=parameters or FedNova(), **options)


def coefficients(steps: int, momentum: float) -> list[float]:
    """The vector a_i of the paper, for SGD with momentum that starts at zero."""
    return [sum(momentum**j for j in range(steps - s)) for s in range(steps)]


@ENGINES
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weighting", ["samples", "uniform"])
def test_rounds_follow_the_formulas(weighting: Any, momentum: float, engine: str) -> None:
    """x ← x - τ_eff Σ p_i η d_i, d_i = G_i a_i / ‖a_i‖₁, with part of the clients in a round."""
    sim = of(FedNova(weighting), engine=engine, optimiser=Sgd(0.05, momentum, 1e-3))
    x: Tensor = sim.task.initial
    for r, cohort in enumerate(([0, 1, 3], [0, 2, 3, 4], [1, 2])):
        sim.round(r, torch.tensor(cohort))
        sizes = [UNEVEN[i] if weighting == "samples" else 1 for i in cohort]
        total, effective = torch.zeros_like(x), 0.0
        for i, n in zip(cohort, sizes, strict=True):
            p, a = n / sum(sizes), coefficients(2 * -(-UNEVEN[i] // 4), momentum)
            total += p * (x - train(sim, x, i, r)) / sum(a)
            effective += p * sum(a)
        x = x - effective * total
        assert_rows(sim.server.state()["w"], x)


@ENGINES
def test_with_as_many_steps_for_all_it_is_fedavg(engine: str) -> None:
    budget = LocalBudget(4, steps=3)
    nova, plain = of(engine=engine, budget=budget), simulate(engine=engine, budget=budget)
    for r in range(3):
        nova.round(r)
        plain.round(r)
    assert_rows(nova.server.state()["w"], plain.server.state()["w"])


@ENGINES
def test_stragglers_count_by_the_steps_that_they_did(engine: str) -> None:
    """A client that does half of its steps goes half as far, and weighs the same a step."""
    sim = of(
        FedNova("uniform"), engine=engine, optimiser=Sgd(1e-6), federation=federation_of((8, 8))
    )
    x, half = sim.task.initial, np.array([0.5, 1.0])
    sim.round(0, Attendance(np.arange(2), np.ones(2, dtype=bool), half))
    moved = sim.server.state()["w"] - x
    g = []
    for k in range(2):
        a, b = sim.federation.train.client(k)
        w = x.clone().requires_grad_()
        loss = nn.functional.cross_entropy(sim.task.logits(w, a.double()), b)
        g.append(torch.autograd.grad(loss, w)[0])
    # 4 steps and 2 of 4: τ_eff = 3; client 0 saw one epoch and client 1 two, of all its samples.
    torch.testing.assert_close(moved, -1e-6 * 3 * (g[0] + g[1]) / 2, rtol=1e-4, atol=1e-12)


@pytest.mark.slow
@ENGINES
def test_unequal_steps_do_not_move_the_optimum(engine: str) -> None:
    """Where FedAvg stands still, the mean loss has a slope: who steps more, counts more."""

    def slope(client: str, server: str, parameters: Any) -> float:
        sim = simulate(
            client,
            server,
            parameters=parameters,
            engine=engine,
            federation=federation_of((4, 24), seed=1),
            budget=LocalBudget(4, epochs=1),
            optimiser=Sgd(0.05),
        )
        for r in range(150):
            sim.round(r)
        w = sim.server.state()["w"].clone().requires_grad_()
        losses = []
        for k in range(2):
            a, b = sim.federation.train.client(k)
            losses.append(nn.functional.cross_entropy(sim.task.logits(w, a.double()), b))
        (g,) = torch.autograd.grad(sum(losses) / 2, w)
        return float(g.norm())

    uniform = "pflbench_algorithms.weighted_server:WeightedServer"
    fedavg = slope("pflbench.method:Client", uniform, FedNova("uniform"))
    assert slope(CLIENT, SERVER, FedNova("uniform")) < 0.5 * fedavg


@pytest.mark.parametrize("optimiser", [Adam(0.01), Sgd(0.1, 0.9, nesterov=True)])
def test_it_refuses_what_hides_gradients(optimiser: Any) -> None:
    with pytest.raises(InputError, match=r"FedNova divides .* is defined for SGD only"):
        of(optimiser=optimiser)


@ENGINES
def test_running_statistics_are_averaged_as_they_are(engine: str) -> None:
    def normalising() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Flatten(), nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)
        )

    options: dict[str, Any] = {"module": normalising(), "head": "4.", "engine": engine}
    nova, plain = of(**options), simulate(**options)
    nova.round(0)
    plain.round(0)
    buffers = slice(nova.task.layout.trained, None)
    assert_rows(nova.server.state()["w"][buffers], plain.server.state()["w"][buffers])
    assert not torch.allclose(nova.server.state()["w"], plain.server.state()["w"])
