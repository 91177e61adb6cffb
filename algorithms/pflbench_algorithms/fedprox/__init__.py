"""FedProx: FedAvg with a proximal term.

Li, Sahu, Zaheer, Sanjabi, Talwalkar, Smith: Federated Optimization in Heterogeneous Networks,
MLSys 2020, arXiv 1812.06127, Algorithm 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.parameters import param
from pflbench.schema.specs import AlgorithmSpec


@dataclass(frozen=True)
class FedProx:
    """Parameters of FedProx."""

    mu: float = param(
        0.01,
        "weight of the proximal term",
        ge=0,
        tune=(1e-4, 1.0),
        log=True,
        source="paper, section 5.1 (tuned over 0.001 to 1)",
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of FedProx."""
    return [
        AlgorithmSpec(
            name="fedprox",
            summary="FedAvg whose clients are held near the model they received",
            client="pflbench_algorithms.fedprox.client:FedProxClient",
            server="pflbench.method:AveragingServer",
            parameters=FedProx,
            paper="Li et al., MLSys 2020, arXiv 1812.06127",
            note="pflbench_algorithms.fedprox:note.md",
            golden="pflbench_algorithms.fedprox.golden:replay",
        )
    ]
