"""LG-FedAvg: local representations, and a global model of them.

Liang, Liu, Ziyin, Allen, Auerbach, Brent, Salakhutdinov, Morency: Think Locally, Act Globally:
Federated Learning with Local and Global Representations, 2020, arXiv 2001.01523, Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.parameters import param
from pflbench.schema.specs import AlgorithmSpec
from pflbench_algorithms.weighting import WEIGHTING


@dataclass(frozen=True)
class LGFedAvg:
    """Parameters of LG-FedAvg."""

    global_layers: int = param(
        1,
        "last layers that are averaged; those before stay with the client",
        ge=1,
        tune=(1, 3),
        source="the classifier alone; official code: 3 of its perceptron, 2 of its CNN",
    )
    weighting: Literal["samples", "uniform"] = param(
        "samples", WEIGHTING, source="paper, Algorithm 1"
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of LG-FedAvg."""
    return [
        AlgorithmSpec(
            name="lg-fedavg",
            summary="FedAvg of the last layers; the layers before them stay with the client",
            client="pflbench_algorithms.lg_fedavg.client:LGFedAvgClient",
            server="pflbench_algorithms.weighted_server:WeightedServer",
            parameters=LGFedAvg,
            paper="Liang et al. 2020, arXiv 2001.01523",
            note="pflbench_algorithms.lg_fedavg:note.md",
            golden="pflbench_algorithms.lg_fedavg.golden:replay",
        )
    ]
