"""L2GD: Algorithm 1, replayed coin by coin in plain loops, and what aggregations do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from plain_torch import assert_rows, train
from small_federations import UNEVEN, federation_of, simulate
from torch import Tensor, nn

from pflbench.engine import Simulation
from pflbench_algorithms.l2gd import L2GD
from pflbench_algorithms.l2gd.server import L2GDServer

CLIENT = "pflbench_algorithms.l2gd.client:L2GDClient"
SERVER = "pflbench_algorithms.l2gd.server:L2GDServer"
ALWAYS = 1 - 1e-9
"""An aggregation in every round: many, in fact."""


def of(parameters: L2GD, rounds: int = 0, **options: Any) -> Simulation:
    sim = simulate(CLIENT, SERVER, parameters=parameters, **options)
    for r in range(rounds):
        sim.round(r)
    return sim


def rows(sim: Simulation) -> Tensor:
    return sim.personal(sim.everyone)


def often(sim: Simulation, r: int) -> int:
    assert isinstance(sim.server, L2GDServer)
    return sim.server.aggregations(r)


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_rounds_follow_the_algorithm(engine: str) -> None:
    sim = of(L2GD(p=0.6, theta=0.3), engine=engine)
    X = sim.task.initial.expand(len(UNEVEN), -1).clone()
    counts = [often(sim, r) for r in range(6)]
    assert 0 in counts[1:]
    assert max(counts[1:]) > 1
    for r, ones in enumerate(counts):
        report = sim.round(r)
        for _ in range(ones):  # ξ = 1
            X = 0.7 * X + 0.3 * X.mean(dim=0)
        X = torch.stack([train(sim, x, k, r) for k, x in enumerate(X)])  # ξ = 0
        assert_rows(rows(sim), X, 1e-8)
        asked = often(sim, r + 1) > 0
        model, number = X[0].numel() * 8, 8
        assert report.bytes_up == len(X) * model * asked
        assert report.bytes_down == len(X) * ((model + number) * (ones > 0) + number * asked)


def test_the_mean_is_of_the_clients_that_uploaded() -> None:
    sim = of(L2GD(p=ALWAYS, theta=1.0, weighting="samples"))
    sim.round(0, torch.tensor([1, 3]))
    X = rows(sim)
    assert torch.equal(X[[0, 2, 4]], sim.task.initial.expand(3, -1))
    mean = (12 * X[1] + 20 * X[3]) / 32
    sim.round(1, torch.tensor([0, 1]))
    assert_rows(rows(sim)[[0, 1]], torch.stack([train(sim, mean, k, 1) for k in (0, 1)]), 1e-8)
    assert torch.equal(rows(sim)[2:], X[2:])


def test_without_a_pull_it_is_local() -> None:
    kept = "pflbench_algorithms.local.client:KeptClient", "pflbench.method:Server"
    plain = simulate(*kept)
    for r in range(4):
        plain.round(r)
    assert_rows(rows(of(L2GD(theta=0.0), 4)), rows(plain), 1e-12)


def test_of_the_mean_alone_it_is_fedavg() -> None:
    plain = simulate(federation=federation_of((8, 8, 8)))
    for r in range(4):
        plain.round(r)
    ours = of(L2GD(p=ALWAYS, theta=1.0), 4, federation=federation_of((8, 8, 8)))
    assert_rows(ours.server.state()["w"], plain.server.state()["w"], 1e-9)


def test_models_are_nearer_to_each_other_with_more_aggregations() -> None:
    def spread(p: float) -> float:
        return float(rows(of(L2GD(p=p), 8)).var(dim=0).sum())

    assert spread(0.9) < 0.7 * spread(0.4) < 0.7 * spread(0.01)


def test_the_coin_is_as_likely_as_p_says() -> None:
    sim = of(L2GD(p=0.3))
    counts = torch.tensor([often(sim, r) for r in range(2000)], dtype=torch.float64)
    assert float((counts > 0).double().mean()) == pytest.approx(0.3, abs=0.04)
    assert float(counts.mean()) == pytest.approx(0.3 / 0.7, abs=0.06)


@pytest.mark.slow
def test_engines_agree_on_a_network_that_normalises() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Flatten(), nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)
    )
    sims = [of(L2GD(), 5, module=module, head="4.", engine=e) for e in ("stacked", "sequential")]
    torch.testing.assert_close(*map(rows, sims), rtol=1e-7, atol=1e-8)
