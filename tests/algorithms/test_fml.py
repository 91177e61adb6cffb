"""FML: its formulas, replayed in plain loops, and what mutual teaching does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from plain_torch import assert_rows, module_of, row_of
from small_federations import SGD, UNEVEN, simulate
from torch import Tensor, nn

from pflbench.engine import Simulation
from pflbench.engine.batches import seeded_batches
from pflbench.engine.optimisers import Adam
from pflbench_algorithms.fml import FML

CLIENT = "pflbench_algorithms.fml.client:FMLClient"
SERVER = "pflbench_algorithms.weighted_server:WeightedServer"


def of(parameters: FML, rounds: int = 0, **options: Any) -> Simulation:
    sim = simulate(CLIENT, SERVER, parameters=parameters, **options)
    for r in range(rounds):
        sim.round(r)
    return sim


def sgd_of(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        module.parameters(), lr=SGD.lr, momentum=SGD.momentum, weight_decay=SGD.weight_decay
    )


def trained_together(
    sim: Simulation, v: Tensor, w: Tensor, client: int, r: int
) -> tuple[Tensor, Tensor]:
    """One client's local training: two modules, two optimisers, PyTorch's own KL."""
    p: FML = sim.client.parameters
    personal, meme = module_of(sim, v), module_of(sim, w)
    optimisers = sgd_of(personal), sgd_of(meme)
    x, y = sim.federation.train.client(client)
    draw = seeded_batches(sim.seed, "batches", sim.federation.train.sizes, sim.task.budget)
    for indices in draw(client, r):
        picked = torch.from_numpy(indices[indices >= 0])
        some = x[picked].to(w.dtype)
        of_v, of_w = personal(some), meme(some)
        for share, own, other in ((p.alpha, of_v, of_w), (p.beta, of_w, of_v)):
            teaching = nn.functional.kl_div(
                own.log_softmax(dim=1), other.detach().softmax(dim=1), reduction="batchmean"
            )
            labels = nn.functional.cross_entropy(own, y[picked])
            (share * labels + (1 - share) * teaching).backward()
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
    return row_of(personal), row_of(meme)


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_rounds_follow_the_formulas(engine: str) -> None:
    sim = of(FML(alpha=0.3, beta=0.6), engine=engine)
    w = sim.task.initial
    V = w.expand(len(UNEVEN), -1).clone()
    for r, cohort in enumerate(([0, 1, 2], [0, 2, 4], [3, 0])):
        sim.round(r, torch.tensor(cohort))
        both = [trained_together(sim, V[k], w, k, r) for k in cohort]
        w = torch.stack([meme for _, meme in both]).mean(dim=0)
        for k, (v, _) in zip(cohort, both, strict=True):
            V[k] = v
        assert_rows(sim.server.state()["w"], w, 1e-8)
        assert_rows(sim.personal(sim.everyone), V, 1e-8)


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_labels_alone_make_it_local_and_fedavg(engine: str) -> None:
    sim = of(FML(alpha=1.0, beta=1.0, weighting="samples"), 3, engine=engine)
    fedavg = simulate(engine=engine)
    local = simulate(
        "pflbench_algorithms.local.client:KeptClient", "pflbench.method:Server", engine=engine
    )
    for r in range(3):
        fedavg.round(r)
        local.round(r)
    assert_rows(sim.server.state()["w"], fedavg.server.state()["w"])
    assert_rows(sim.personal(sim.everyone), local.personal(local.everyone))


@pytest.mark.slow
def test_the_taught_personal_model_predicts_its_samples_more_like_the_global_one() -> None:
    def distance(alpha: float) -> float:
        sim = of(FML(alpha=alpha, beta=1.0), 10)
        w = sim.server.state()["w"]
        total = 0.0
        for k, v in enumerate(sim.personal(sim.everyone)):
            x = sim.federation.train.client(k)[0].double()
            mine, theirs = (sim.task.logits(row, x).softmax(dim=1) for row in (v, w))
            total += float((mine - theirs).abs().mean())
        return total

    assert distance(0.1) < 0.7 * distance(1.0)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["adam", "norm"])
def test_engines_agree(case: str) -> None:
    def normalising() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Flatten(), nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)
        )

    options: dict[str, Any] = {"optimiser": Adam(0.01)}
    if case == "norm":
        options = {"module": normalising(), "head": "4."}
    sims = [of(FML(0.3, 0.6), 3, engine=e, **options) for e in ("stacked", "sequential")]
    rows = [sim.personal(sim.everyone) for sim in sims]
    torch.testing.assert_close(*rows, rtol=1e-7, atol=1e-8)


@pytest.mark.slow
def test_running_statistics_are_those_of_each_models_own_forward_passes() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Flatten(), nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)
    )
    shared = {"module": module, "head": "4.", "engine": "stacked"}
    sim = of(FML(alpha=1.0, beta=1.0, weighting="samples"), 2, **shared)
    fedavg = simulate(**shared)
    for r in range(2):
        fedavg.round(r)
    assert_rows(sim.server.state()["w"], fedavg.server.state()["w"], 1e-8)
