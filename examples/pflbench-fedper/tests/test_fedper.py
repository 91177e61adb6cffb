"""FedPer keeps the rules of pflbench, and computes what its paper says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pflbench_fedper import FedPer, pflbench_algorithms
from torch import nn

from pflbench import Federation
from pflbench.conformance import AlgorithmConformance
from pflbench.engine import Simulation
from pflbench.errors import InputError
from pflbench.method import LocalBudget, Sgd

SIZES = (6, 9, 4)
ROUNDS = 3


class TestFedPer(AlgorithmConformance):
    """Every check of `pflbench check fedper` is a test of this class."""

    algorithm = "fedper"


def federation() -> Federation:
    rng = np.random.default_rng(0)

    def client(n: int) -> dict[str, np.ndarray]:
        arrays = {}
        for split in ("train", "val", "test"):
            arrays[f"{split}_x"] = rng.normal(size=(n, 5)).astype(np.float32)
            arrays[f"{split}_y"] = rng.integers(0, 3, n)
        return arrays

    return Federation.from_arrays([client(n) for n in SIZES], classes=3)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3))


def whole_batch(client: int, round: int) -> np.ndarray:
    """Two steps on all of a client's samples."""
    return np.tile(np.arange(SIZES[client]), (2, 1))


def simulation(layers: int, engine: str = "stacked") -> Simulation:
    module = network()
    initial = torch.cat([p.detach().flatten() for p in module.parameters()])
    made = Simulation(
        pflbench_algorithms()[0],
        FedPer(personal_layers=layers),
        federation(),
        module,
        "4.",
        seed=0,
        optimiser=Sgd(0.1, 0.9, 1e-3),
        budget=LocalBudget(9, steps=2),
        engine=engine,
        initial=initial,
        batches=whole_batch,
    )
    made.enrol()
    return made


def plain(layers: int) -> list[nn.Module]:
    """Compute the paper's algorithm with one module per client."""
    data = federation()
    modules = [network() for _ in SIZES]
    shared = 2 * (3 - layers)  # a weight and a bias for each shared layer
    for _ in range(ROUNDS):
        for i, module in enumerate(modules):
            x, y = data.train.client(i)
            sgd = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
            for _ in range(2):
                sgd.zero_grad()
                F.cross_entropy(module(x), y).backward()
                sgd.step()
        with torch.no_grad():
            for group in list(zip(*(m.parameters() for m in modules), strict=True))[:shared]:
                average = sum(n * p for n, p in zip(SIZES, group, strict=True)) / sum(SIZES)
                for p in group:
                    p.copy_(average)
    return list(modules)


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
@pytest.mark.parametrize("layers", [1, 2])
def test_it_computes_the_papers_algorithm(layers: int, engine: str) -> None:
    ours = simulation(layers, engine)
    for r in range(ROUNDS):
        ours.round(r)
    models = ours.personal(ours.everyone)
    for w, module in zip(models, plain(layers), strict=True):
        wanted = torch.cat([p.detach().flatten() for p in module.parameters()])
        torch.testing.assert_close(w, wanted, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("layers", "shared"), [(1, 24 + 20), (2, 24)])
def test_personal_layers_never_cross(layers: int, shared: int) -> None:
    report = simulation(layers).round(0)
    assert report.bytes_down == report.bytes_up == 4 * shared * len(SIZES)


def test_something_must_be_shared() -> None:
    with pytest.raises(InputError, match="leaves nothing to share"):
        simulation(3)
