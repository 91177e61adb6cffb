"""MOON replays its paper's formulas, and is FedAvg without its contrast."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from small_federations import UNEVEN, simulate
from torch import Tensor, nn

from pflbench.engine import Simulation
from pflbench.engine.batches import seeded_batches
from pflbench.method import LocalBudget, Sgd
from pflbench_algorithms.moon import Moon

ENGINES = pytest.mark.parametrize(
    "engine", ["stacked", pytest.param("sequential", marks=pytest.mark.slow)]
)
STEEP = Sgd(0.2, 0.5)


def played(parameters: Moon, rounds: int = 0, **options: Any) -> Simulation:
    client = "pflbench_algorithms.moon.client:MoonClient"
    simulation = simulate(client, parameters=parameters, **options)
    for r in range(rounds):
        simulation.round(r)
    return simulation


def loaded(module: nn.Module, w: Tensor) -> Any:
    own = copy.deepcopy(module)
    torch.nn.utils.vector_to_parameters(w.clone(), own.parameters())
    return own


def cosines(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=1) / (a.norm(dim=1) * b.norm(dim=1)).clamp(min=1e-8)


def trained(sim: Simulation, p: Moon, k: int, r: int, received: Tensor, last: Tensor) -> Tensor:
    """One client's round by the paper's formulas: modules, autograd, torch.optim."""
    w, w_glob, w_prev = (loaded(sim.task.module, row) for row in (received, received, last))
    sgd: Any = sim.task.optimiser
    optimiser = torch.optim.SGD(
        w.parameters(), lr=sgd.lr, momentum=sgd.momentum, weight_decay=sgd.weight_decay
    )
    x, y = sim.federation.train.client(k)
    draw = seeded_batches(sim.seed, "batches", sim.federation.train.sizes, sim.task.budget)
    for indices in draw(k, r):
        picked = torch.from_numpy(indices[indices >= 0])
        inputs = x[picked].double()
        z = w[:-1](inputs)
        with torch.no_grad():
            z_glob, z_prev = w_glob[:-1](inputs), w_prev[:-1](inputs)
        positive = torch.exp(cosines(z, z_glob) / p.temperature)
        negative = torch.exp(cosines(z, z_prev) / p.temperature)
        contrast = -torch.log(positive / (positive + negative))
        loss = nn.functional.cross_entropy(w[-1](z), y[picked]) + p.mu * contrast.mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return torch.nn.utils.parameters_to_vector(w.parameters()).detach()


@ENGINES
def test_rounds_are_those_of_a_plain_loop(engine: str) -> None:
    """Three of five clients in a round, so that some last models are old and some are new."""
    p = Moon(mu=2.0, temperature=0.3)
    sim = played(p, engine=engine, participation=0.6, optimiser=STEEP)
    w, last = sim.task.initial, sim.task.initial.repeat(len(UNEVEN), 1)
    for r in range(4):
        cohort = sim.round(r).cohort
        rows = [trained(sim, p, k, r, w, last[k]) for k in cohort.tolist()]
        last[cohort] = torch.stack(rows)
        n = torch.tensor([UNEVEN[k] for k in cohort.tolist()], dtype=torch.float64)
        w = (n / n.sum()) @ torch.stack(rows)
        torch.testing.assert_close(sim.server.state()["w"], w, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(sim.states["previous"], last, rtol=1e-9, atol=1e-9)


@ENGINES
def test_without_mu_it_is_fedavg(engine: str) -> None:
    ours, plain = played(Moon(mu=0.0), 3, engine=engine), simulate(engine=engine)
    for r in range(3):
        plain.round(r)
    for sim in (ours, plain):
        sim.evaluate(3)
    torch.testing.assert_close(ours.server.state(), plain.server.state(), rtol=1e-10, atol=1e-12)


@ENGINES
def test_a_first_round_has_no_contrast(engine: str) -> None:
    """Both other models are the initial one then; later they differ."""
    ours, plain = played(Moon(mu=5.0), engine=engine), simulate(engine=engine)
    for r, same in enumerate((True, False)):
        for sim in (ours, plain):
            sim.round(r)
        a, b = ours.server.state()["w"], plain.server.state()["w"]
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-10) == same


@pytest.mark.slow
def test_mu_draws_features_to_the_global_models() -> None:
    def drawn(mu: float) -> float:
        """How much nearer features are to the global model's than to the last local model's."""
        sim = played(Moon(mu=mu), 3, optimiser=STEEP, budget=LocalBudget(4, epochs=4))
        w, last = sim.server.state()["w"], sim.states["previous"].clone()
        sim.round(3)
        found = []
        for k in range(len(UNEVEN)):
            x = sim.federation.train.client(k)[0].double()
            rows = sim.states["previous"][k], w, last[k]
            z, glob, prev = (sim.task.features(row, x) for row in rows)
            found.append((cosines(z, glob) - cosines(z, prev)).mean())
        return float(torch.stack(found).mean())

    assert drawn(5.0) > drawn(0.0) + 0.01


def test_a_round_costs_what_fedavgs_does() -> None:
    ours, plain = played(Moon()).round(0), simulate().round(0)
    assert (ours.bytes_up, ours.bytes_down) == (plain.bytes_up, plain.bytes_down)
    assert ours.steps == plain.steps
