"""Global equals a plain loop over pooled data; floors and the ensemble predict what they say."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_federations import UNEVEN, federation_of, mlp_for, simulate
from torch import nn

from pflbench.engine import Simulation
from pflbench.method import LocalBudget, Sgd

HERE = "pflbench_algorithms"
GLOBAL = f"{HERE}.centralised.client:PoolingClient", f"{HERE}.centralised.server:PoolingServer"
MAJORITY = f"{HERE}.floors.client:MajorityClient", "pflbench.method:Server"
RANDOM = f"{HERE}.floors.client:RandomClient", "pflbench.method:Server"
ENSEMBLE = (
    f"{HERE}.local_ensemble.client:VotingClient",
    f"{HERE}.local_ensemble.server:CollectingServer",
)


def made(halves: tuple[str, str], **options: Any) -> Simulation:
    return simulate(*halves, **options)


def accuracy(sim: Simulation, r: int = 1) -> float:
    table, _ = sim.evaluate(r, ("test",))
    return float(table["correct"].sum() / table["samples"].sum())


@pytest.mark.parametrize(
    "budget", [LocalBudget(8, epochs=2), LocalBudget(8, steps=3)], ids=["epochs", "steps"]
)
def test_global_is_a_plain_loop_over_the_pooled_data(budget: LocalBudget) -> None:
    data = federation_of()
    sgd = Sgd(lr=0.05, momentum=0.9, weight_decay=1e-3)
    sim = made(GLOBAL, federation=data, optimiser=sgd, budget=budget, dtype=torch.float64)
    network = copy.deepcopy(mlp_for(data)).double()
    with torch.no_grad():
        nn.utils.vector_to_parameters(sim.task.initial, network.parameters())
    loop = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    x, y = data.train.x.double(), data.train.y
    for r in range(2):
        report = sim.round(r)
        batches = sim.server.batches(r)  # type: ignore[attr-defined]
        assert report.steps == len(batches)
        assert len(batches) == (2 * -(-sum(UNEVEN) // 8) if budget.epochs else 3 * len(UNEVEN))
        for index in batches:
            loop.zero_grad()
            F.cross_entropy(network(x[index]), y[index]).backward()
            loop.step()
    plain = nn.utils.parameters_to_vector(network.parameters())
    torch.testing.assert_close(sim.server.w, plain, rtol=1e-9, atol=1e-10)  # type: ignore[attr-defined]


def test_every_epoch_of_global_sees_every_sample_once() -> None:
    sim = made(GLOBAL, budget=LocalBudget(8, epochs=3))
    for epoch in range(3):
        steps = -(-sum(UNEVEN) // 8)
        batches = sim.server.batches(0)[epoch * steps : (epoch + 1) * steps]  # type: ignore[attr-defined]
        assert sorted(np.concatenate(batches)) == list(range(sum(UNEVEN)))


def test_global_uploads_data_once_and_nothing_else() -> None:
    data = federation_of()
    sim = made(GLOBAL, federation=data)
    for r in range(2):
        sim.round(r)
    told = sim.traffic.table()
    assert set(told["round"]) == {-1}
    size = dict(zip(told["kind"], told["bytes"], strict=True))
    number = sim.task.initial.element_size()
    assert size == {"x": data.train.x.numel() * number, "y": 8 * sum(UNEVEN)}


def test_global_forgets_the_samples_of_a_client_that_left() -> None:
    sim = made(GLOBAL)
    server: Any = sim.server
    sim.round(0)
    assert server.forget(torch.tensor([1])) == "their part in the global model"
    assert 1 not in server.owner
    assert len(server.y) == sum(UNEVEN) - UNEVEN[1]
    sim.round(1)
    assert torch.isfinite(server.w).all()


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_majority_is_right_where_a_client_has_its_most_frequent_class(engine: str) -> None:
    data = federation_of()
    sim = made(MAJORITY, federation=data, engine=engine)
    report = sim.round(0)
    assert (report.steps, report.bytes_up, report.bytes_down) == (0, 0, 0)
    table, _ = sim.evaluate(1, ("test",))
    for k in range(data.clients):
        counts = np.bincount(data.train.client(k)[1].numpy(), minlength=3)
        y = data.test.client(k)[1].numpy()
        row = table[table["client"] == k].iloc[0]
        assert row["correct"] == (y == counts.argmax()).sum()
        log_p = np.log((counts + 1) / (counts.sum() + 3))
        assert row["loss"] == pytest.approx(-log_p[y].mean(), rel=1e-5)


def test_random_class_is_chance_whatever_the_engine() -> None:
    data = federation_of((5, 5), test=3000)
    tables = []
    for engine in ("stacked", "sequential"):
        sim = made(RANDOM, federation=data, engine=engine)
        report = sim.round(0)
        assert (report.steps, report.bytes_up, report.bytes_down) == (0, 0, 0)
        tables.append(sim.evaluate(1, ("test",))[0])
    assert tables[0]["correct"].equals(tables[1]["correct"])
    assert accuracy(sim) == pytest.approx(1 / 3, abs=0.025)
    assert tables[0]["loss"].to_numpy() == pytest.approx(np.log(3), abs=1e-3)


def test_an_ensemble_of_one_is_local() -> None:
    local = f"{HERE}.local.client:KeptClient", "pflbench.method:Server"
    data = federation_of((12,))
    one, other = (made(halves, federation=data) for halves in (ENSEMBLE, local))
    for r in range(2):
        one.round(r)
        other.round(r)
    a, b = (sim.evaluate(2, ("test",))[0] for sim in (one, other))
    np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-5)


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_an_ensemble_averages_the_probabilities_of_all_models(engine: str) -> None:
    data = federation_of()
    sim = made(ENSEMBLE, federation=data, engine=engine)
    sim.round(0)
    models, task = sim.states["w"], sim.task
    table, _ = sim.evaluate(1, ("test",))
    for k in range(data.clients):
        x, y = data.test.client(k)
        p = torch.stack([task.logits(w, x.to(w)).softmax(-1) for w in models]).mean(dim=0)
        loss = -p[torch.arange(len(y)), y].log().mean()
        row = table[table["client"] == k].iloc[0]
        assert row["loss"] == pytest.approx(float(loss), rel=1e-5)


def test_a_model_votes_once_its_client_has_uploaded_until_it_is_forgotten() -> None:
    sim = made(ENSEMBLE)
    server: Any = sim.server
    assert torch.equal(server.serve(torch.tensor([0]))["models"][0, 0], sim.task.initial)
    sim.round(0, torch.tensor([0, 3]))
    assert server.serve(torch.tensor([1]))["models"].shape[1] == 2
    assert server.forget(torch.tensor([3])) == ""
    left = server.serve(torch.tensor([1]))["models"]
    assert torch.equal(left[0], sim.states["w"][:1])
