"""Federations to measure speed on. Their numbers are random: they do not matter for speed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pflbench.engine import Simulation, build_network, choose_engine
from pflbench.engine.given import head_of
from pflbench.federation import Federation, Shards
from pflbench.method import LocalBudget, Sgd
from pflbench.schema import plugins
from pflbench.schema.parameters import parse_parameters
from pflbench.schema.specs import resolve

SAMPLES, VALIDATION, TEST, CLASSES = 128, 64, 277, 10
BUDGET = LocalBudget(batch_size=64, epochs=5)
SGD = Sgd(lr=5e-3, momentum=0.9, weight_decay=5e-5)
SHAPES = {"mlp": (1, 28, 28), "lenet": (3, 32, 32), "resnet8": (3, 32, 32), "resnet18": (3, 32, 32)}
"""Model to the shape of its samples."""


@dataclass(frozen=True, eq=False)
class Workload:
    """A model on a federation of N clients of 128 samples: batches of 64, 5 local epochs.

    Attributes
    ----------
    federation
        Random images and labels.
    module, head
        The network, and the prefix of its classifier.
    """

    model: str
    federation: Federation
    module: nn.Module
    head: str

    @property
    def steps(self) -> int:
        """SGD steps of a round in which all clients take part."""
        return self.federation.clients * 5 * (SAMPLES // BUDGET.batch_size)

    @property
    def flops(self) -> float:
        """Floating-point operations of a round's gradients, counted by PyTorch."""
        x = torch.zeros(BUDGET.batch_size, *self.federation.input_shape)
        with FlopCounterMode(display=False) as counter:
            self.module(x).sum().backward()
        self.module.zero_grad(set_to_none=True)
        return float(counter.get_total_flops()) * self.steps


def workload(model: str, clients: int) -> Workload:
    """Make a workload.

    Parameters
    ----------
    model
        One of `SHAPES`.
    clients
        Number of clients N.
    """
    registry = plugins.installed()
    spec = registry.get(registry.models, model)
    parameters: Any = parse_parameters(spec.parameters, {}, owner=model)
    build = resolve(spec.build, owner=f"model {model!r}")
    shape = SHAPES[model]
    module = build_network(build, parameters, shape, CLASSES, seed=0, name=model)
    return Workload(model, _federation(clients, shape), module, head_of(module, spec.head))


def simulation(
    work: Workload,
    algorithm: str,
    *,
    engine: str = "auto",
    participation: float = 1.0,
    device: torch.device | None = None,
) -> Simulation:
    """Return a method with its defaults on a workload, with all clients enrolled."""
    registry = plugins.installed()
    spec = registry.get(registry.algorithms, algorithm)
    place = device or torch.device("cpu")
    made = Simulation(
        spec,
        parse_parameters(spec.parameters, {}, owner=algorithm),
        work.federation,
        work.module,
        work.head,
        seed=0,
        optimiser=SGD,
        budget=BUDGET,
        participation=participation,
        engine=choose_engine(engine, work.module, place),
        device=place,
    )
    made.enrol()
    return made


def _federation(clients: int, shape: tuple[int, ...]) -> Federation:
    generator = torch.Generator().manual_seed(0)

    def shards(n: int) -> Shards:
        x = torch.rand(clients * n, *shape, generator=generator)
        y = torch.randint(CLASSES, (clients * n,), generator=generator)
        return Shards(x, y, np.arange(clients + 1, dtype=np.int64) * n)

    few = TEST if clients <= 100 else 10  # a thousand clients' test images fill the memory
    return Federation(shards(SAMPLES), shards(min(VALIDATION, few)), shards(few), CLASSES, "random")
