"""FedPAC aligns features, and mixes heads by a quadratic programme."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_federations import federation_of, simulate
from torch import Tensor

from pflbench.engine import Simulation
from pflbench.method import LocalBudget, Sgd
from pflbench_algorithms.fedpac import FedPAC
from pflbench_algorithms.fedpac.mixtures import best_mixtures
from pflbench_algorithms.fedrep import FedRep

ENGINES = pytest.mark.parametrize("engine", ["stacked", "sequential"])


def made(engine: str = "stacked", rounds: int = 2, **options: Any) -> Simulation:
    sim = simulate(
        "pflbench_algorithms.fedpac.client:FedPACClient",
        "pflbench_algorithms.fedpac.server:FedPACServer",
        parameters=options.pop("parameters", FedPAC()),
        engine=engine,
        record=True,
        **options,
    )
    for r in range(rounds):
        sim.round(r)
    return sim


@ENGINES
def test_without_alignment_and_others_heads_it_is_fedrep(engine: str) -> None:
    ours = made(engine, parameters=FedPAC(lam=0.0, small_weight=1.0))
    theirs = simulate(
        "pflbench_algorithms.fedrep.client:FedRepClient",
        "pflbench_algorithms.weighted_server:WeightedServer",
        parameters=FedRep(head_epochs=1, weighting="samples"),
        engine=engine,
    )
    for r in range(2):
        theirs.round(r)
    models = [sim.personal(sim.everyone) for sim in (ours, theirs)]
    torch.testing.assert_close(*models, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("clients", "features"), [(2, 7), (6, 40), (150, 99), (1, 5)])
def test_mixtures_are_optimal(clients: int, features: int) -> None:
    """No weight can move to another client and improve the objective (Karush-Kuhn-Tucker)."""
    rng = np.random.default_rng(clients)
    V, H = rng.uniform(1e-3, 0.1, clients), rng.normal(size=(clients, features)) / 5
    found = best_mixtures(V, H)
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
    for k, alpha in enumerate(found):
        D = (H[k] - H) @ (H[k] - H).T  # as the paper writes it
        slope = (np.diag(V) + D) @ alpha
        np.testing.assert_array_less(alpha @ slope - 1e-10, slope)


def test_a_client_that_is_sure_or_alone_keeps_its_head() -> None:
    V, H = np.array([0.0, 0.1, 0.1, 0.0]), np.array([[1.0], [1.0], [-9e9], [0.0]])
    found = best_mixtures(V, H)
    np.testing.assert_allclose(found, np.eye(4)[[0, 0, 2, 3]], atol=1e-9)
    assert found[[0, 3]].tolist() == np.eye(4)[[0, 3]].tolist()
    assert best_mixtures(np.zeros(3), np.zeros((3, 2))).tolist() == np.eye(3).tolist()


@ENGINES
def test_facts_are_of_the_start_and_prototypes_of_the_end(engine: str) -> None:
    sim = made(engine, 0)
    report = sim.round(0)
    for k in range(5):
        x, y = sim.federation.train.client(k)
        f, C = sim.task.features(sim.task.initial, x.double()), 3
        n, V = len(y), torch.zeros((), dtype=torch.float64)
        h, c = torch.zeros(C, 5).double(), torch.zeros(C, 5).double()
        after = sim.task.features(report.uploads["model"][k], x.double())
        for j in y.unique().tolist():
            P, own = (y == j).double().mean(), f[y == j]
            h[j], c[j] = P * own.mean(dim=0), after[y == j].mean(dim=0)
            V += P * own.square().sum(dim=1).mean() - P**2 * own.mean(dim=0).square().sum()
        torch.testing.assert_close(report.uploads["variance"][k], V / n, atol=1e-15, rtol=1e-7)
        torch.testing.assert_close(report.uploads["class_features"][k], h)
        torch.testing.assert_close(report.uploads["prototypes"][k], c)


@ENGINES
def test_head_and_body_are_trained_as_in_the_official_code(engine: str) -> None:
    """The head's rate is its own; features are drawn to prototypes from the second round on."""
    data = federation_of((8,))
    options = {"optimiser": Sgd(0.1), "budget": LocalBudget(8, epochs=1)}
    parameters = FedPAC(lam=0.6, head_lr=0.3)
    sim = made(engine, 1, federation=data, parameters=parameters, **options)
    task, w = sim.task, sim.personal(sim.everyone)[0]
    head, (x, y) = task.layout.block("head"), data.train.client(0)
    x, c = x.double(), sim.server.prototypes  # type: ignore[attr-defined]
    plain = torch.func.grad(lambda w: F.cross_entropy(task.logits(w, x), y))(w)
    w = head.pick(w - 0.3 * plain, w)

    def aligned(w: Tensor) -> Tensor:
        z = task.features(w, x)
        return F.cross_entropy(task.classify(w, z), y) + 0.6 * F.mse_loss(z, c[y])

    w = head.pick(w, w - 0.1 * torch.func.grad(aligned)(w))
    sim.round(1)
    torch.testing.assert_close(sim.personal(sim.everyone)[0], w)


def test_heads_come_from_clients_with_the_same_classes() -> None:
    data = federation_of((20, 20, 20, 20))
    groups = torch.arange(80) // 40
    data.train.y[:] = torch.where(groups == 0, torch.arange(80) % 2, 2)
    sim = made(rounds=3, federation=data)
    alpha = sim.server.alpha  # type: ignore[attr-defined]
    assert alpha[:2, 2:].max() < 0.05
    assert alpha[:2, :2].min() > 0.1
    torch.testing.assert_close(alpha.sum(dim=1), torch.ones(4).double())


def test_a_cohort_that_lacks_a_class_trains() -> None:
    data = federation_of((6, 8))
    data.train.y[:] = torch.tensor([0, 0, 1, 1, 1, 0, 2, 2, 2, 1, 1, 2, 2, 2])
    sim = made(rounds=1, federation=data)
    head = sim.task.layout.block("head")
    before = sim.personal(sim.everyone)
    sim.round(1, torch.tensor([0]))
    after = sim.personal(sim.everyone)
    assert torch.equal(head.take(after)[1], head.take(before)[1])
    assert not torch.equal(head.rest.take(after)[1], head.rest.take(before)[1])
    assert sim.evaluate(2)[0]["loss"].notna().all()
