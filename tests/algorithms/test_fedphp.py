"""FedPHP: its formulas, replayed in plain loops, and what teaching does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from plain_torch import assert_rows, average, module_of, row_of
from small_federations import SGD, UNEVEN, simulate
from torch import Tensor, nn

from pflbench.engine import Simulation
from pflbench.engine.batches import seeded_batches
from pflbench.engine.optimisers import Adam
from pflbench_algorithms.fedphp import FedPHP

CLIENT = "pflbench_algorithms.fedphp.client:FedPHPClient"
SERVER = "pflbench_algorithms.weighted_server:WeightedServer"
ENGINES = pytest.mark.parametrize("engine", ["stacked", "sequential"])


def of(parameters: FedPHP | None = None, rounds: int = 0, **options: Any) -> Simulation:
    sim = simulate(CLIENT, SERVER, parameters=parameters or FedPHP(), **options)
    for r in range(rounds):
        sim.round(r)
    return sim


def body(module: nn.Module) -> nn.Module:
    return nn.Sequential(*list(module.children())[:-1])


def mmd(a: Tensor, b: Tensor) -> Tensor:
    """Sample by sample: five Gaussian kernels around the mean distance of all pairs."""
    rows = [*a, *b]
    n = len(a)
    pairs = [[(x - y).square().sum() for y in rows] for x in rows]
    total_distance = sum(float(d.detach()) for row in pairs for d in row)
    mean = total_distance / (len(rows) * (len(rows) - 1)) + 1e-8
    total = torch.zeros((), dtype=a.dtype)
    for i, row in enumerate(pairs):
        for j, d in enumerate(row):
            sign = 1.0 if (i < n) == (j < n) else -1.0
            for width in (mean / 4, mean / 2, mean, 2 * mean, 4 * mean):
                total = total + sign * torch.exp(-d / width)
    return total / n**2


def taught(sim: Simulation, w: Tensor, h: Tensor, client: int, r: int) -> Tensor:
    """One client's local training."""
    p: FedPHP = sim.client.parameters
    module, teacher = module_of(sim, w), module_of(sim, h)
    sgd = torch.optim.SGD(
        module.parameters(), lr=SGD.lr, momentum=SGD.momentum, weight_decay=SGD.weight_decay
    )
    x, y = sim.federation.train.client(client)
    draw = seeded_batches(sim.seed, "batches", sim.federation.train.sizes, sim.task.budget)
    for indices in draw(client, r):
        picked = torch.from_numpy(indices[indices >= 0])
        some = x[picked].to(w.dtype)
        logits = module(some)
        if p.transfer == "kd":
            soft = (teacher(some).detach() / p.temperature).softmax(dim=1)
            teaching = -(soft * logits.log_softmax(dim=1)).sum(dim=1).mean()
        else:
            teaching = mmd(body(module)(some), body(teacher)(some).detach())
        loss = (1 - p.lam) * nn.functional.cross_entropy(logits, y[picked]) + p.lam * teaching
        sgd.zero_grad()
        loss.backward()
        sgd.step()
    return row_of(module)


@pytest.mark.mostly_slow("kd")
@pytest.mark.parametrize(
    ("engine", "transfer"), [("stacked", "kd"), ("stacked", "mmd"), ("sequential", "mmd")]
)
def test_rounds_follow_the_formulas(engine: str, transfer: Any) -> None:
    parameters = FedPHP(lam=0.4, transfer=transfer, mu=0.8, horizon=2)
    sim = of(parameters, engine=engine)
    w, rounds = sim.task.initial, [0] * len(UNEVEN)
    H = w.expand(len(UNEVEN), -1).clone()
    for r, cohort in enumerate(([0, 1, 2], [0, 2, 4], [0, 2, 3], [0, 1])):
        sim.round(r, torch.tensor(cohort))
        rows = [taught(sim, w, H[k], k, r) for k in cohort]
        w = average(sim, cohort, rows)
        for k, row in zip(cohort, rows, strict=True):
            mu = 0.8 * min(rounds[k] / 2, 1.0)
            H[k] = mu * H[k] + (1 - mu) * row
            rounds[k] += 1
        assert_rows(sim.server.state()["w"], w, 1e-7)
        assert_rows(sim.personal(sim.everyone), H, 1e-7)


@ENGINES
@pytest.mark.parametrize("transfer", ["kd", "mmd"])
def test_without_teaching_the_global_model_is_fedavgs(transfer: Any, engine: str) -> None:
    sim, plain = of(FedPHP(0.0, transfer), 3, engine=engine), simulate(engine=engine)
    for r in range(3):
        plain.round(r)
    assert_rows(sim.server.state()["w"], plain.server.state()["w"])


def test_teaching_holds_outputs_near_the_private_models() -> None:
    def distance(lam: float) -> float:
        sim = of(FedPHP(lam, temperature=1.0), 3)
        h = sim.states["h"].clone()
        sim.round(3)
        W = (sim.states["h"] - 0.9 * 3 / 20 * h) / (1 - 0.9 * 3 / 20)  # what was trained
        total = 0.0
        for k in range(len(UNEVEN)):
            x = sim.federation.train.client(k)[0].double()
            ours, theirs = (sim.task.logits(row[k], x).softmax(dim=1) for row in (W, h))
            total += float((ours - theirs).abs().mean())
        return total

    assert distance(0.9) < distance(0.0)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["adam", "norm"])
@pytest.mark.parametrize("transfer", ["kd", "mmd"])
def test_engines_agree(transfer: Any, case: str) -> None:
    def normalising() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Flatten(), nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)
        )

    options: dict[str, Any] = {"optimiser": Adam(0.01)}
    if case == "norm":
        options = {"module": normalising(), "head": "4."}
    sims = [of(FedPHP(0.3, transfer), 3, engine=e, **options) for e in ("stacked", "sequential")]
    rows = [sim.personal(sim.everyone) for sim in sims]
    torch.testing.assert_close(*rows, rtol=1e-7, atol=1e-8)
