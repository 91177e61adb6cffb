"""FedALA takes of the global model what helps, and is FedAvg where it takes all of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from plain_torch import assert_rows
from small_federations import SGD, UNEVEN, simulate
from torch import Tensor, nn

from pflbench.engine import Simulation
from pflbench.engine.optimisers import Adam
from pflbench.method import LocalBudget
from pflbench_algorithms.fedala import FedALA

CLIENT = "pflbench_algorithms.fedala.client:FedALAClient"
SERVER = "pflbench_algorithms.weighted_server:WeightedServer"
ENGINES = pytest.mark.parametrize("engine", ["stacked", "sequential"])


def of(parameters: FedALA | None = None, rounds: int = 0, **options: Any) -> Simulation:
    sim = simulate(CLIENT, SERVER, parameters=parameters or FedALA(), **options)
    for r in range(rounds):
        sim.round(r)
    return sim


def normalising() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)
    )


@ENGINES
def test_with_weights_1_or_no_mixed_tensors_it_is_fedavg(engine: str) -> None:
    plain, none, ones = (
        simulate(engine=engine),
        of(FedALA(tensors=0), engine=engine),
        of(FedALA(eta=0.0, passes=1), engine=engine),
    )
    for r in range(3):
        for sim in (plain, none, ones):
            sim.round(r)
    w = plain.server.state()["w"]
    assert torch.equal(none.server.state()["w"], w)
    assert_rows(ones.server.state()["w"], w)
    assert (ones.states["W"] == 1).all()


@ENGINES
def test_weights_are_learnt_by_the_formula(engine: str) -> None:
    """One pass of one batch: W = 1 - η ∂loss ⊙ (Θ - Θ_k), cut to [0, 1]."""
    parameters = FedALA(eta=3.0, percent=100.0, tensors=2, passes=1)
    sim = of(parameters, 1, engine=engine, budget=LocalBudget(20, epochs=1))
    own, theta = sim.states["w"], sim.server.state()["w"]
    sim.round(1)
    head = sim.task.layout.block("head")
    for k in range(len(UNEVEN)):
        x, y = sim.federation.train.client(k)
        w = theta.clone().requires_grad_()  # with W = 1, θ = Θ
        (g,) = torch.autograd.grad(
            nn.functional.cross_entropy(sim.task.logits(w, x.double()), y), w
        )
        change = head.take(theta - own[k])
        expected = (1 - 3.0 * head.take(g) * change).clamp(0, 1)
        assert_rows(sim.states["W"][k], expected)
    assert (sim.states["W"] < 1).any()
    assert sim.states["passes"].tolist() == [1.0] * len(UNEVEN)


@ENGINES
def test_the_first_time_it_learns_until_losses_are_calm_and_later_once(engine: str) -> None:
    calm = of(FedALA(threshold=1e9, window=3), 1, engine=engine)
    never = of(FedALA(threshold=0.0, passes=7), 1, engine=engine)
    assert (calm.states["passes"] == 0).all()  # the models are the same in the first round
    first = [sim.round(1).steps for sim in (calm, never)]
    plain = simulate(engine=engine)
    plain.round(0)
    local = plain.round(1).steps
    once = sum(-(-round(0.8 * n) // 4) if n > 1 else 1 for n in UNEVEN)
    assert first == [local + 4 * once, local + 7 * once]
    assert (calm.states["passes"] == 4).all()
    assert calm.round(2).steps == local + once
    assert (calm.states["passes"] == 5).all()


@pytest.mark.slow
def test_clients_stop_apart_and_engines_agree() -> None:
    """Each client's own losses decide, whoever trains beside it."""
    parameters = FedALA(threshold=0.02, window=2, eta=5.0)
    stacked, chunked, sequential = (
        of(parameters, 3, engine="stacked"),
        of(parameters, 3, engine="stacked", chunk=2),
        of(parameters, 3, engine="sequential"),
    )
    passes = stacked.states["passes"]
    assert len(passes.unique()) > 1
    for other in (chunked, sequential):
        assert torch.equal(other.states["passes"], passes)
        assert_rows(other.states["W"], stacked.states["W"], 1e-7)
        assert_rows(other.states["w"], stacked.states["w"], 1e-7)


def test_a_part_of_the_samples_is_drawn_again_in_every_round() -> None:
    sim = of(FedALA(percent=50.0))
    draw = sim._batches[0]
    chosen = [{int(i) for i in draw(3, r).ravel() if i >= 0} for r in range(3)]
    assert [len(some) for some in chosen] == [10, 10, 10]
    assert chosen[0] != chosen[1] != chosen[2]
    assert draw(2, 0).tolist() == [[0]]


def test_absent_clients_keep_their_model_and_weights() -> None:
    sim = of(rounds=2)
    before = {name: rows.clone() for name, rows in sim.states.items()}
    sim.round(2, torch.tensor([0, 3]))
    for name, rows in sim.states.items():
        assert torch.equal(rows[[1, 2, 4]], before[name][[1, 2, 4]])
        assert name == "passes" or not torch.equal(rows[[0, 3]], before[name][[0, 3]])


@pytest.mark.mostly_slow("adam-stacked", "norm-sequential")
@ENGINES
@pytest.mark.parametrize("case", ["adam", "norm"])
def test_statistics_are_not_mixed_and_any_optimiser_trains(case: str, engine: str) -> None:
    options: dict[str, Any] = {"optimiser": Adam(0.01) if case == "adam" else SGD}
    if case == "norm":
        options |= {"module": normalising(), "head": "4."}
    sim = of(FedALA(passes=3, eta=5.0, tensors=4), 3, engine=engine, **options)
    rows: Tensor = sim.personal(sim.everyone)
    assert rows.isfinite().all()
    assert ((sim.states["W"] >= 0) & (sim.states["W"] <= 1)).all()
    if case == "norm":
        layout, last = sim.task.layout, sim.client.last  # type: ignore[attr-defined]
        assert (layout.unflatten(rows)["2.running_var"] > 0).all()
        assert not last.mask[layout.trained :].any()
