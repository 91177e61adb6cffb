"""FedPer: FedAvg of a base; each client's last layers stay its own.

Arivazhagan, Aggarwal, Singh, Choudhary: Federated Learning with Personalization Layers, 2019,
arXiv 1912.00818, Algorithms 1 (client) and 2 (server).
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
class FedPer:
    """Parameters of FedPer."""

    personal_layers: int = param(
        1,
        "K_P: last layers that stay with the client",
        ge=1,
        tune=(1, 3),
        source="the classifier alone, the paper's smallest",
    )
    weighting: Literal["samples", "uniform"] = param(
        "samples", WEIGHTING, source="paper, Algorithm 2"
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of FedPer."""
    return [
        AlgorithmSpec(
            name="fedper",
            summary="FedAvg of a base; each client's last layers stay its own",
            client="pflbench_algorithms.fedper.client:FedPerClient",
            server="pflbench_algorithms.weighted_server:WeightedServer",
            parameters=FedPer,
            paper="Arivazhagan, Aggarwal, Singh, Choudhary 2019, arXiv 1912.00818",
            note="pflbench_algorithms.fedper:note.md",
            golden="pflbench_algorithms.fedper.golden:replay",
        )
    ]
