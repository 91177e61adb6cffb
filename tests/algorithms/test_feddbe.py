"""FedDBE takes a client's bias out of its features, after a round that only measures it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from plain_torch import assert_rows, average, module_of, row_of, train
from small_federations import UNEVEN, simulate
from torch import Tensor, nn

from pflbench.engine import Simulation
from pflbench.engine.batches import seeded_batches
from pflbench.errors import InputError
from pflbench.method import LocalBudget, Sgd
from pflbench_algorithms.feddbe import FedDBE

ENGINES = pytest.mark.parametrize(
    "engine", ["stacked", pytest.param("sequential", marks=pytest.mark.slow)]
)
PLAIN = Sgd(0.1)


def played(parameters: FedDBE, rounds: int = 0, **options: Any) -> Simulation:
    place = "pflbench_algorithms.feddbe"
    client, server = f"{place}.client:FedDBEClient", f"{place}.server:FedDBEServer"
    simulation = simulate(client, server, parameters=parameters, **options)
    for r in range(rounds):
        simulation.round(r)
    return simulation


def by_hand(
    sim: Simulation, p: FedDBE, k: int, r: int, w: Tensor, vector: Tensor, consensus: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """One client's round by modules, autograd and torch.optim: its model, vector and mean."""
    sgd: Any = sim.task.optimiser
    module: Any = module_of(sim, w)
    body, head = module[:-1], module[-1]
    vector = vector.clone().requires_grad_()
    optimiser = torch.optim.SGD(
        module.parameters(), lr=sgd.lr, momentum=sgd.momentum, weight_decay=sgd.weight_decay
    )
    x, y = sim.federation.train.client(k)
    mean = torch.zeros_like(vector).detach()
    draw = seeded_batches(sim.seed, "batches", sim.federation.train.sizes, sim.task.budget)
    for indices in draw(k, r):
        picked = torch.from_numpy(indices[indices >= 0])
        z = body(x[picked].double())
        mean = (1 - p.mean_momentum) * mean.detach() + p.mean_momentum * z.mean(dim=0)
        loss = F.cross_entropy(head(z + vector), y[picked])
        if consensus is not None:
            loss = loss + p.kappa / 2 * (mean - consensus).square().mean()
        optimiser.zero_grad()
        vector.grad = None
        loss.backward()
        optimiser.step()
        if consensus is not None:
            with torch.no_grad():
                vector -= sgd.lr * vector.grad
    return row_of(module), vector.detach(), mean.detach()


@ENGINES
def test_rounds_are_those_of_a_plain_loop(engine: str) -> None:
    p = FedDBE(kappa=2.0, mean_momentum=0.6)
    sim = played(p, engine=engine, participation=0.6)
    D = sim.states["vector"].shape[1]
    w, vectors = sim.task.initial, torch.zeros(len(UNEVEN), D, dtype=torch.float64)
    consensus = None
    for r in range(3):
        cohort = sim.round(r).cohort.tolist()
        found = [by_hand(sim, p, k, r, w, vectors[k], consensus) for k in cohort]
        if consensus is None:  # models are thrown away
            consensus = average(sim, cohort, [mean for _, _, mean in found])
        else:
            w = average(sim, cohort, [row for row, _, _ in found])
            vectors[cohort] = torch.stack([vector for _, vector, _ in found])
        state = sim.server.state()
        assert_rows(state["consensus"], consensus)
        assert_rows(state["w"], w)
        assert_rows(sim.states["vector"], vectors)


@ENGINES
def test_without_kappa_a_first_step_is_fedavgs(engine: str) -> None:
    """Vectors are 0 then; a client of one sample, smaller than a batch, takes part."""
    options: dict[str, Any] = {"engine": engine, "budget": LocalBudget(4, steps=1)}
    sim = played(FedDBE(kappa=0.0), 2, **options)
    everyone = list(range(len(UNEVEN)))
    rows = [train(sim, sim.task.initial, k, 1) for k in everyone]
    assert_rows(sim.server.state()["w"], average(sim, everyone, rows))
    assert (sim.states["vector"] != 0).any(dim=1).all()


@pytest.mark.slow
def test_kappa_brings_the_clients_mean_features_together() -> None:
    def spread(kappa: float) -> float:
        sim = played(FedDBE(kappa=kappa), 6, optimiser=PLAIN, record=True)
        means = sim.round(6).uploads["mean"]
        return float((means - sim.server.state()["consensus"]).norm())

    assert spread(5.0) < 0.7 * spread(0.0)


@ENGINES
def test_the_personal_model_adds_the_vector_to_the_features(engine: str) -> None:
    sim = played(FedDBE(), 3, engine=engine)
    task, w = sim.task, sim.server.state()["w"]
    rows, x = sim.personal(sim.everyone), sim.federation.test.x[:5].double()
    for k in range(len(UNEVEN)):
        z = task.features(w, x) + sim.states["vector"][k]
        assert_rows(task.logits(rows[k], x), task.classify(w, z))


def test_a_round_costs_what_the_note_says() -> None:
    sim, plain = played(FedDBE(), 1), simulate().round(1)
    ours, D = sim.round(1), sim.states["vector"].shape[1]
    word, K = sim.task.initial.element_size(), len(UNEVEN)
    assert ours.bytes_down == plain.bytes_down + K * (D + 1) * word
    assert ours.bytes_up == plain.bytes_up + K * D * word
    assert ours.steps == plain.steps


def test_a_head_without_a_bias_is_refused() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3, bias=False))
    with pytest.raises(InputError, match="one linear layer with a bias"):
        played(FedDBE(), module=module, head="3.")


@pytest.mark.slow
def test_uniform_means_are_uniform() -> None:
    sim = played(FedDBE(weighting="uniform"), record=True)
    means = sim.round(0).uploads["mean"]
    assert_rows(sim.server.state()["consensus"], means.mean(dim=0))
