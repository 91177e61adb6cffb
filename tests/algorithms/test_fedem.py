"""FedEM's components part the data between them, and each client mixes them in its own way."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from plain_torch import assert_rows, module_of, row_of
from small_federations import arrays_of, simulate
from torch import Tensor, nn

from pflbench import Federation
from pflbench.engine import Simulation
from pflbench.engine.batches import seeded_batches
from pflbench.engine.optimisers import Adam
from pflbench.method import LocalBudget, Sgd
from pflbench_algorithms.fedem import FedEM

ENGINES = pytest.mark.parametrize("engine", ["stacked", "sequential"])


def fedem(parameters: FedEM, **options: Any) -> Simulation:
    return simulate(
        "pflbench_algorithms.fedem.client:FedEMClient",
        "pflbench_algorithms.fedem.server:FedEMServer",
        parameters=parameters,
        **options,
    )


@ENGINES
def test_one_component_is_fedavg(engine: str) -> None:
    options: Any = {"engine": engine, "participation": 0.6}
    one, plain = fedem(FedEM(1, "left-out"), **options), simulate(**options)
    for r in range(3):
        one.round(r)
        plain.round(r)
    assert_rows(one.personal(one.everyone), plain.personal(plain.everyone))
    losses = [torch.tensor(sim.evaluate(3, ["test"])[0]["loss"]) for sim in (one, plain)]
    assert_rows(*losses)


@ENGINES
@pytest.mark.parametrize("absent", ["averaged", "left-out"])
def test_fedem_follows_its_algorithm(absent: Any, engine: str) -> None:
    """A loop over modules, with a part of the clients, momentum and decay."""
    sim = fedem(FedEM(2, absent, "uniform"), engine=engine, participation=0.6)
    theta, pi = list(sim.server.state()["w"]), torch.full((5, 2), 0.5, dtype=torch.float64)
    sgd: Any = sim.task.optimiser
    sizes = sim.federation.train.sizes
    draw = seeded_batches(sim.seed, "batches", sizes, sim.task.budget)

    def local(k: int, r: int) -> list[Tensor]:
        x, y = sim.federation.train.client(k)
        x, rows = x.double(), []
        with torch.no_grad():
            each = [F.cross_entropy(module_of(sim, w)(x), y, reduction="none") for w in theta]
        q = torch.softmax(pi[k].log()[:, None] - torch.stack(each), dim=0)
        pi[k] = q.mean(dim=1)
        for w, own in zip(theta, q, strict=True):
            module = module_of(sim, w)
            optimiser = torch.optim.SGD(
                module.parameters(), sgd.lr, sgd.momentum, weight_decay=sgd.weight_decay
            )
            for indices in draw(k, r):
                i = torch.from_numpy(indices[indices >= 0])
                optimiser.zero_grad()
                (own[i] * F.cross_entropy(module(x[i]), y[i], reduction="none")).mean().backward()
                optimiser.step()
            rows.append(row_of(module))
        return rows

    for r in range(2):
        cohort = sim.round(r).cohort.tolist()
        trained = [local(k, r) for k in cohort]
        share = 1 / (5 if absent == "averaged" else len(cohort))
        for m in range(2):
            whole = sum(share * rows[m] for rows in trained)
            theta[m] = whole + (1 - share * len(cohort)) * theta[m]
        assert_rows(sim.server.state()["w"], torch.stack(theta))
        assert_rows(sim.states["pi"], pi)


def two_groups() -> Federation:
    """Odd clients give the classes other names."""
    arrays = arrays_of((24,) * 6)
    for client in arrays[1::2]:
        for split in ("train", "val", "test"):
            client[f"{split}_y"] = (client[f"{split}_y"] + 1) % 3
    return Federation.from_arrays(arrays, 3)


@pytest.mark.slow
def test_components_part_two_groups() -> None:
    options: Any = {"optimiser": Sgd(0.3), "budget": LocalBudget(8, epochs=2)}
    sim = fedem(FedEM(2), federation=two_groups(), **options)
    plain = simulate(federation=two_groups(), **options)
    for r in range(15):
        sim.round(r)
        plain.round(r)
    favourite = sim.states["pi"].argmax(dim=1).tolist()
    assert favourite in ([0, 1] * 3, [1, 0] * 3)
    own, all_of_them = (s.evaluate(15, ["test"])[0]["correct"].sum() for s in (sim, plain))
    assert own > 1.3 * all_of_them


def test_a_prediction_is_the_mixture_of_probabilities() -> None:
    sim = fedem(FedEM(3))
    sim.round(0)
    x, y = sim.federation.test.client(3)
    theta, pi = sim.server.state()["w"], sim.states["pi"][3]
    p = sum(
        share * sim.task.logits(w, x.double()).softmax(-1)
        for share, w in zip(pi, theta, strict=True)
    )
    expected = -p[torch.arange(len(y)), y].log().mean()  # type: ignore[index]
    found = sim.evaluate(1, ["test"])[0]["loss"][3]
    assert found == pytest.approx(float(expected), rel=1e-9)


def test_each_component_counts_a_gradient() -> None:
    assert fedem(FedEM(3)).round(0).steps == 3 * fedem(FedEM(1)).round(0).steps


def changed(kind: str) -> nn.Module:
    torch.manual_seed(0)
    middle = nn.BatchNorm1d(5) if kind == "norm" else nn.Dropout(0.4)
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 5), middle, nn.ReLU(), nn.Linear(5, 3))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["norm", "dropout", "adam"])
def test_engines_agree_with_statistics_dropout_and_adam(kind: str) -> None:
    options: Any = {"module": changed(kind), "head": "4."} if kind != "adam" else {}
    if kind == "adam":
        options["optimiser"] = Adam(0.01)
    sims = [fedem(FedEM(2), engine=engine, **options) for engine in ("stacked", "sequential")]
    for sim in sims:
        for r in range(2):
            sim.round(r)
    rows = [sim.server.state()["w"] for sim in sims]
    torch.testing.assert_close(*rows, rtol=1e-7, atol=1e-8)
    if kind == "norm":
        parts = sims[0].task.layout.unflatten(rows[0])
        assert (parts["2.running_var"] > 0).all()
        assert not torch.allclose(parts["2.running_mean"], torch.zeros(5, dtype=torch.float64))
