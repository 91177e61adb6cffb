"""FedFomo finds whose models help a client, and takes nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from plain_torch import assert_rows
from small_federations import SGD, arrays_of, simulate
from torch import Tensor, nn

from pflbench import Federation
from pflbench.engine import Simulation
from pflbench.engine.optimisers import Adam
from pflbench.method import LocalBudget, Sgd
from pflbench_algorithms.fedfomo import FedFomo

CLIENT = "pflbench_algorithms.fedfomo.client:FedFomoClient"
SERVER = "pflbench_algorithms.fedfomo.server:FedFomoServer"
LOCAL = "pflbench_algorithms.local.client:KeptClient"
NO_SERVER = "pflbench.method:Server"
ENGINES = pytest.mark.parametrize("engine", ["stacked", "sequential"])


def of(parameters: FedFomo | None = None, rounds: int = 0, **options: Any) -> Simulation:
    sim = simulate(CLIENT, SERVER, parameters=parameters or FedFomo(), **options)
    for r in range(rounds):
        sim.round(r)
    return sim


def models(sim: Simulation) -> Tensor:
    return sim.personal(sim.everyone)


def two_groups(count: int = 6) -> Federation:
    """Clients of one distribution; the labels of every other one are turned."""
    clients = arrays_of((12,) * count, val=12)
    rng = np.random.default_rng(3)
    centres = 2 * rng.normal(size=(3, 2, 3))
    for k, client in enumerate(clients):
        for split in ("train", "val", "test"):
            y = rng.integers(0, 3, len(client[f"{split}_y"]))
            noise = 0.3 * rng.normal(size=(len(y), 2, 3))
            client[f"{split}_x"] = (centres[y] + noise).astype(np.float32)
            client[f"{split}_y"] = (y + k % 2) % 3
    return Federation.from_arrays(clients, 3)


@ENGINES
def test_without_downloads_and_with_training_that_helps_it_is_local(engine: str) -> None:
    options: dict[str, Any] = {
        "federation": two_groups(),
        "engine": engine,
        "record": True,
        "optimiser": Sgd(0.05),
    }
    alone, local = of(FedFomo(downloads=0), **options), simulate(LOCAL, NO_SERVER, **options)
    for r in range(3):
        report = alone.round(r)
        local.round(r)
        assert (report.context["weights"] == float(r > 0)).all()
    assert_rows(models(alone), models(local))


def test_a_client_that_training_harms_goes_back() -> None:
    """The step is far too long: the client begins again where it began."""
    sim = of(FedFomo(downloads=0), 1, optimiser=Sgd(30.0), budget=LocalBudget(4, steps=1))
    first, report = models(sim), sim.round(1)
    harmed = sim.states["before"] == sim.task.initial
    assert report.cohort.tolist() == list(range(5))
    assert harmed.all(dim=1).any()
    assert not torch.equal(first, sim.task.initial.expand_as(first))


@ENGINES
def test_clients_find_their_group(engine: str) -> None:
    sim = of(FedFomo(downloads=2, epsilon=1.0, epsilon_decay=0.15), 7, federation=two_groups(8),
             engine=engine, record=True)  # fmt: skip
    own = torch.arange(8) % 2
    same = own[:, None] == own[None, :]
    P = sim.server.state()["P"]
    others = ~torch.eye(8, dtype=torch.bool)
    assert P[same & others].mean() > 0
    assert P[~same].mean() < 0
    chosen = sim.server.choose(7, sim.everyone, 2)  # type: ignore[attr-defined]
    assert (own[chosen] == own[:, None]).double().mean() > 0.9


def test_downloads_are_drawn_greedily_but_for_epsilon() -> None:
    sim = of(FedFomo(downloads=3, epsilon=0.0), 1)
    server: Any = sim.server
    server.P[0] = torch.tensor([9.0, 0.1, -1.0, 0.5, 0.3])
    assert server.choose(1, torch.tensor([0]), 3)[0].tolist() == [3, 4, 1]
    assert server.choose(1, torch.tensor([0]), 4)[0].tolist() == [3, 4, 1, 2]
    random = of(FedFomo(downloads=1, epsilon=1.0, epsilon_decay=0.0), 1)
    other: Any = random.server
    other.P[0] = server.P[0]
    drawn = torch.cat([other.choose(r, torch.tensor([0]), 1)[0] for r in range(200)])
    assert drawn.bincount(minlength=5)[1:].min() > 25
    assert not (drawn == 0).any()


def test_a_client_that_failed_is_not_missed_and_downloads_are_counted() -> None:
    sim = of(FedFomo(downloads=3))
    P = sim.task.layout.columns
    first, second = sim.round(0), sim.round(1)
    assert first.bytes_down == 0
    assert second.bytes_down == 5 * 3 * P * 8
    assert first.bytes_up == 5 * P * 8
    assert second.bytes_up == 5 * (P + 3) * 8
    sim.server.forget(torch.tensor([2]))
    server: Any = sim.server
    assert not (server.choose(2, torch.tensor([0, 1, 3, 4]), 3) == 2).any()


@ENGINES
def test_running_statistics_are_mixed_and_do_not_count_as_distance(engine: str) -> None:
    def normalising() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Flatten(), nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)
        )

    sim = of(rounds=2, module=normalising(), head="4.", engine=engine, record=True)
    before, w, last = sim.states["before"], sim.states["w"], sim.round(2)
    distances = (w - before)[:, : sim.task.layout.trained].norm(dim=1)
    losses = []
    for row in (before, w):
        values = []
        for k in range(5):
            x, y = sim.federation.val.client(k)
            values.append(nn.functional.cross_entropy(sim.task.logits(row[k], x.double()), y))
        losses.append(torch.stack(values))
    torch.testing.assert_close(last.context["gains"][:, 0], (losses[0] - losses[1]) / distances)
    variances = sim.task.layout.unflatten(models(sim))["2.running_var"]
    assert (variances > 0).all()


@pytest.mark.parametrize("optimiser", [Adam(0.01), SGD])
def test_engines_agree(optimiser: Any) -> None:
    rows = [
        models(of(rounds=3, engine=engine, optimiser=optimiser))
        for engine in ("stacked", "sequential")
    ]
    torch.testing.assert_close(*rows, rtol=1e-7, atol=1e-8)
