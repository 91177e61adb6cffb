"""Federations, networks and simulations small enough to check by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from pflbench import AlgorithmSpec, Federation
from pflbench.engine import Simulation, drawing_weights
from pflbench.method import LocalBudget, Sgd
from pflbench.models import Mlp
from pflbench.models.networks import build_mlp
from pflbench.schema.parameters import NoParameters

UNEVEN = (5, 12, 1, 20, 8)
"""Training samples of five clients: one sample, less than a batch, whole and short batches."""

SGD = Sgd(lr=0.05, momentum=0.9, weight_decay=1e-3)


def arrays_of(
    sizes: Sequence[int] = UNEVEN,
    *,
    classes: int = 3,
    shape: tuple[int, ...] = (2, 3),
    seed: int = 0,
    val: int = 4,
    test: int = 6,
) -> list[dict[str, np.ndarray]]:
    """Each client's six arrays: classes are noisy points, moved a little from client to client."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, *shape))
    clients = []
    for i, n in enumerate(sizes):
        shift = rng.normal(scale=0.5, size=shape)
        client = {}
        for split, m in (("train", n), ("val", val + i % 3), ("test", test + i % 2)):
            y = rng.integers(0, classes, m)
            noise = rng.normal(scale=0.7, size=(m, *shape))
            client[f"{split}_x"] = (centres[y] + shift + noise).astype(np.float32)
            client[f"{split}_y"] = y
        clients.append(client)
    return clients


def federation_of(sizes: Sequence[int] = UNEVEN, *, classes: int = 3, **options: Any) -> Federation:
    return Federation.from_arrays(arrays_of(sizes, classes=classes, **options), classes)


def mlp_for(federation: Federation, hidden: int = 5, seed: int = 0) -> nn.Module:
    with drawing_weights(seed):
        return build_mlp(Mlp(hidden=hidden), federation.input_shape, federation.classes)


def simulate(
    client: str = "pflbench.method:Client",
    server: str = "pflbench.method:AveragingServer",
    *,
    federation: Federation | None = None,
    module: nn.Module | None = None,
    parameters: Any = None,
    head: str = "layer_output.",
    **options: Any,
) -> Simulation:
    """A simulation whose clients have enrolled, in double precision unless asked otherwise."""
    federation = federation_of() if federation is None else federation
    chosen = {
        "seed": 0,
        "optimiser": SGD,
        "budget": LocalBudget(4, epochs=2),
        "dtype": torch.float64,
        **options,
    }
    simulation = Simulation(
        AlgorithmSpec("in-test", "a method of a test", client=client, server=server),
        NoParameters() if parameters is None else parameters,
        federation,
        mlp_for(federation, seed=chosen["seed"]) if module is None else module,
        head,
        **chosen,
    )
    simulation.enrol()
    return simulation
