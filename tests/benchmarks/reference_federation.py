"""The MLP federation that speeds are compared on, and the loop that everybody writes first.

36 clients of 128 samples, a 784-128-128-10 perceptron, batches of 64, 5 local epochs: 360 SGD
steps, 11.7 GFLOP a round. The numbers are random: they do not matter for speed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from pflbench import plugins
from pflbench.engine import Simulation
from pflbench.federation import Federation, Shards
from pflbench.method import LocalBudget, Sgd
from pflbench.models import Mlp
from pflbench.models.networks import build_mlp
from pflbench.parameters import parse_parameters

CLIENTS, SAMPLES, BATCH, EPOCHS = 36, 128, 64, 5
SGD = Sgd(lr=5e-3, momentum=0.9, weight_decay=5e-5)


def federation() -> Federation:
    """Return the federation, random."""
    generator = torch.Generator().manual_seed(0)

    def shards(n: int) -> Shards:
        x = torch.rand(CLIENTS * n, 1, 28, 28, generator=generator)
        y = torch.randint(10, (CLIENTS * n,), generator=generator)
        return Shards(x, y, np.arange(CLIENTS + 1, dtype=np.int64) * n)

    return Federation(shards(SAMPLES), shards(64), shards(277), 10, "random")


def simulation(algorithm: str, engine: str = "stacked") -> Simulation:
    """Return a method on the federation, enrolled."""
    registry = plugins.installed()
    spec = registry.get(registry.algorithms, algorithm)
    made = Simulation(
        spec,
        parse_parameters(spec.parameters, {}, owner=algorithm),
        federation(),
        build_mlp(Mlp(), (1, 28, 28), 10),
        "layer_output.",
        seed=0,
        sgd=SGD,
        budget=LocalBudget(BATCH, epochs=EPOCHS),
        engine=engine,
    )
    made.enrol()
    return made


class PlainLoop:
    """A FedAvg round as a plain PyTorch loop over clients, tensors in memory, no loader."""

    def __init__(self) -> None:
        data = federation().train
        self.x = data.x.view(CLIENTS, SAMPLES, 784)
        self.y = data.y.view(CLIENTS, SAMPLES)
        self.net = nn.Sequential(
            nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
        )
        self.w = nn.utils.parameters_to_vector(self.net.parameters()).detach()

    def round(self) -> None:
        """Train every client from the global model, and average."""
        total = torch.zeros_like(self.w)
        for x, y in zip(self.x, self.y, strict=True):
            nn.utils.vector_to_parameters(self.w.clone(), self.net.parameters())
            optimiser = torch.optim.SGD(
                self.net.parameters(), SGD.lr, SGD.momentum, weight_decay=SGD.weight_decay
            )
            for _ in range(EPOCHS):
                for batch in torch.randperm(SAMPLES).split(BATCH):
                    optimiser.zero_grad()
                    F.cross_entropy(self.net(x[batch]), y[batch]).backward()
                    optimiser.step()
            total += nn.utils.parameters_to_vector(self.net.parameters()).detach()
        self.w = total / CLIENTS


def rounds_of(played: Simulation) -> Callable[[], Any]:
    """Return a function that plays a simulation's next round."""
    number = iter(range(10**9))
    return lambda: played.round(next(number))


def side_by_side(contenders: Mapping[str, Callable[[], Any]], times: int) -> dict[str, float]:
    """Return each contender's median seconds, measured in turns so that all see the same load."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(times + 1):
        for name, play in contenders.items():
            began = time.perf_counter()
            play()
            if turn:  # the first turn warms up
                seconds[name].append(time.perf_counter() - began)
    return {name: float(np.median(values)) for name, values in seconds.items()}
