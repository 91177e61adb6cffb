"""FedAMP: personal models attend to each other by their distances.

Huang, Chu, Zhou, Wang, Liu, Pei, Zhang: Personalized Cross-Silo Federated Learning on Non-IID
Data, AAAI 2021, arXiv 2007.03797, Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.parameters import param
from pflbench.schema.specs import AlgorithmSpec


@dataclass(frozen=True)
class FedAMP:
    """Parameters of FedAMP."""

    lam: float = param(
        0.1,
        "λ: weight of what holds a model near its cloud model, over α",
        ge=0,
        tune=(0.001, 1.0),
        log=True,
        source="chosen here",
    )
    alpha: float = param(
        1.0,
        "α: how much a client's cloud model takes from others",
        gt=0,
        tune=(0.01, 100.0),
        log=True,
        source="chosen here",
    )
    sigma: float = param(
        10.0,
        "σ: squared distance beyond which models do not attend to each other",
        gt=0,
        tune=(0.1, 1000.0),
        log=True,
        source="chosen here",
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of FedAMP."""
    return [
        AlgorithmSpec(
            name="fedamp",
            summary="Personal models are drawn to the others, near ones more strongly",
            client="pflbench_algorithms.fedamp.client:FedAMPClient",
            server="pflbench_algorithms.fedamp.server:FedAMPServer",
            parameters=FedAMP,
            paper="Huang et al., AAAI 2021, arXiv 2007.03797",
            note="pflbench_algorithms.fedamp:note.md",
            golden="pflbench_algorithms.fedamp.golden:replay",
        )
    ]
