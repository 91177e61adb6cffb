"""FedProto's prototypes cross, its models do not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_federations import UNEVEN, federation_of, simulate
from torch import Tensor

from pflbench.engine import Simulation
from pflbench.method import LocalBudget, Sgd
from pflbench_algorithms.fedproto import FedProto

ENGINES = pytest.mark.parametrize("engine", ["stacked", "sequential"])
LOCAL = ("pflbench_algorithms.local.client:KeptClient", "pflbench.method:Server")


def made(engine: str = "stacked", rounds: int = 2, **options: Any) -> Simulation:
    sim = simulate(
        "pflbench_algorithms.fedproto.client:FedProtoClient",
        "pflbench_algorithms.fedproto.server:FedProtoServer",
        parameters=options.pop("parameters", FedProto()),
        engine=engine,
        record=True,
        **options,
    )
    for r in range(rounds):
        sim.round(r)
    return sim


@ENGINES
def test_without_the_distance_its_models_are_those_of_local(engine: str) -> None:
    ours = made(engine, parameters=FedProto(lam=0.0, prediction="classifier"))
    alone = simulate(*LOCAL, engine=engine)
    for r in range(2):
        alone.round(r)
    models = [sim.personal(sim.everyone) for sim in (ours, alone)]
    torch.testing.assert_close(*models, rtol=1e-12, atol=1e-12)
    losses = [sim.evaluate(2)[0]["loss"].to_numpy() for sim in (ours, alone)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-12)


def test_only_prototypes_cross() -> None:
    sim = made(rounds=0)
    report = sim.round(0)
    numbers = 3 * 5 + 3  # classes, features
    crossing = 8 * len(UNEVEN) * numbers
    assert (report.bytes_up, report.bytes_down) == (crossing, crossing)


@pytest.mark.slow
def test_the_distance_draws_features_to_the_prototypes_of_all() -> None:
    def spread(lam: float) -> float:
        sim = made(rounds=4, parameters=FedProto(lam=lam))
        x = sim.federation.test.client(0)[0].double()
        z = torch.stack([sim.task.features(w, x) for w in sim.states["w"]])
        return float(z.var(dim=0).sum() / z.square().sum())

    assert spread(5.0) < 0.7 * spread(0.0)


@ENGINES
@pytest.mark.parametrize("weighting", ["uniform", "samples"])
def test_a_round_is_that_of_the_official_code(engine: str, weighting: Any) -> None:
    """A class that one client has alone keeps its features whole: it is not divided by K."""
    data = federation_of((6, 8))
    data.train.y[:] = torch.tensor([0, 0, 1, 1, 1, 0, 2, 2, 2, 1, 1, 2, 2, 2])
    parameters = FedProto(lam=0.7, weighting=weighting)
    options = {"optimiser": Sgd(0.1), "budget": LocalBudget(8, epochs=1)}
    sim = made(engine, 1, federation=data, parameters=parameters, **options)
    task, (x, y) = sim.task, data.train.client(0)
    x = x.double()
    means = []
    for k in range(2):
        own, labels = data.train.client(k)
        z = task.features(task.initial, own.double())
        means.append(torch.stack([z[labels == c].mean(dim=0) for c in range(3)]))
    share = 3 / 5 if weighting == "samples" else 1 / 2
    shared = share * means[0][1] + (1 - share) * means[1][1]
    expected = torch.stack([means[0][0], shared, means[1][2]])
    torch.testing.assert_close(sim.server.prototypes, expected)  # type: ignore[attr-defined]
    before = sim.states["w"][0].clone()

    def loss(w: Tensor) -> Tensor:
        z = task.features(w, x)
        return F.cross_entropy(task.classify(w, z), y) + 0.7 * F.mse_loss(z, expected[y])

    sim.round(1)
    torch.testing.assert_close(sim.states["w"][0], before - 0.1 * torch.func.grad(loss)(before))


@ENGINES
def test_prototypes_are_of_the_last_epoch_before_each_step(engine: str) -> None:
    options = {"optimiser": Sgd(0.0), "budget": LocalBudget(4, epochs=3)}
    sim = made(engine, 0, federation=federation_of((9, 4, 1)), **options)
    report = sim.round(0)
    for k in range(3):  # nothing moves: a mean of each sample once
        x, y = sim.federation.train.client(k)
        z = sim.task.features(sim.task.initial, x.double())
        for c in range(3):
            assert (report.uploads["weight"][k, c] > 0) == (y == c).any()
            if (y == c).any():
                torch.testing.assert_close(
                    report.uploads["prototypes"][k, c], z[y == c].mean(dim=0)
                )


@ENGINES
def test_the_nearest_prototype_of_the_classes_met_predicts(engine: str) -> None:
    data = federation_of((6, 8))
    data.train.y[:] = torch.tensor([0, 0, 1, 1, 1, 0, 2, 2, 2, 1, 1, 2, 2, 2])
    sim = made(engine, 3, federation=data)
    table, _ = sim.evaluate(3, ["test"])
    C = sim.server.prototypes  # type: ignore[attr-defined]
    for k, met in enumerate(([0, 1], [1, 2])):
        x, y = data.test.client(k)
        z = sim.task.features(sim.states["w"][k], x.double())
        nearest = torch.tensor(met)[torch.cdist(z, C[met]).argmin(dim=1)]
        assert table["correct"][k] == int((nearest == y).sum())


def test_a_class_that_a_cohort_lacks_keeps_its_prototype() -> None:
    data = federation_of((6, 8))
    data.train.y[:] = torch.tensor([0, 0, 1, 1, 1, 0, 2, 2, 2, 1, 1, 2, 2, 2])
    sim = made(rounds=1, federation=data)
    before = sim.server.prototypes.clone()  # type: ignore[attr-defined]
    sim.round(1, torch.tensor([0]))
    moved = (sim.server.prototypes != before).any(dim=1)  # type: ignore[attr-defined]
    assert moved.tolist() == [True, True, False]
