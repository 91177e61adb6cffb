"""SiloBN keeps the rules of pflbench, and computes what its paper says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pflbench_silobn import pflbench_algorithms
from torch import nn

from pflbench import Federation
from pflbench.conformance import AlgorithmConformance
from pflbench.engine import Simulation
from pflbench.method import Layout, LocalBudget, Sgd
from pflbench.schema.parameters import NoParameters

SIZES = (6, 9, 4)
ROUNDS = 3


class TestSiloBN(AlgorithmConformance):
    """Every check of `pflbench check silobn` is a test of this class."""

    algorithm = "silobn"


def federation() -> Federation:
    rng = np.random.default_rng(0)

    def client(n: int) -> dict[str, np.ndarray]:
        arrays = {}
        for split in ("train", "val", "test"):
            arrays[f"{split}_x"] = rng.normal(n, n, size=(n, 5)).astype(np.float32)
            arrays[f"{split}_y"] = rng.integers(0, 3, n)
        return arrays

    return Federation.from_arrays([client(n) for n in SIZES], classes=3)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3))


def whole_batch(client: int, round: int) -> np.ndarray:
    """Two steps on all of a client's samples."""
    return np.tile(np.arange(SIZES[client]), (2, 1))


def simulation(engine: str = "stacked") -> Simulation:
    made = Simulation(
        pflbench_algorithms()[0],
        NoParameters(),
        federation(),
        network(),
        "3.",
        seed=0,
        optimiser=Sgd(0.1, 0.9, 1e-3),
        budget=LocalBudget(9, steps=2),
        engine=engine,
        batches=whole_batch,
    )
    made.enrol()
    return made


def plain() -> list[nn.Module]:
    """Compute the paper's algorithm with one module per client."""
    data = federation()
    modules = [network() for _ in SIZES]
    for _ in range(ROUNDS):
        for i, module in enumerate(modules):
            x, y = data.train.client(i)
            sgd = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
            for _ in range(2):
                sgd.zero_grad()
                F.cross_entropy(module(x), y).backward()
                sgd.step()
        with torch.no_grad():
            for group in zip(*(m.parameters() for m in modules), strict=True):
                average = sum(n * p for n, p in zip(SIZES, group, strict=True)) / sum(SIZES)
                for p in group:
                    p.copy_(average)
    return list(modules)


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_it_computes_the_papers_algorithm(engine: str) -> None:
    ours = simulation(engine)
    for r in range(ROUNDS):
        ours.round(r)
    models = ours.personal(ours.everyone)
    layout = Layout.of(network())
    for w, module in zip(models, plain(), strict=True):
        wanted = layout.flatten({name: t.float() for name, t in module.state_dict().items()})
        torch.testing.assert_close(w, wanted, atol=1e-5, rtol=1e-5)


def test_running_statistics_never_cross() -> None:
    weights = sum(p.numel() for p in network().parameters())
    report = simulation().round(0)
    assert report.bytes_down == report.bytes_up == 4 * weights * len(SIZES)


def test_clients_have_their_own_statistics() -> None:
    ours = simulation()
    ours.round(0)
    models = ours.personal(ours.everyone)
    statistics = ours.task.layout.block("buffers")
    assert len(statistics.take(models).unique(dim=0)) == len(SIZES)
    assert len(statistics.rest.take(models).unique(dim=0)) == 1
