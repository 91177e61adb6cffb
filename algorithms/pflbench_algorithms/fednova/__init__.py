"""FedNova: FedAvg of the clients' changes per local step.

Wang, Liu, Liang, Joshi, Poor: Tackling the Objective Inconsistency Problem in Heterogeneous
Federated Optimization, NeurIPS 2020, arXiv 2007.07481, section 4.
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
class FedNova:
    """Parameters of FedNova."""

    weighting: Literal["samples", "uniform"] = param(
        "samples", WEIGHTING, source="paper, section 2: p_i = n_i / n"
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of FedNova."""
    return [
        AlgorithmSpec(
            name="fednova",
            summary="FedAvg in which clients with more local steps do not count for more",
            client="pflbench_algorithms.fednova.client:FedNovaClient",
            server="pflbench_algorithms.fednova.server:FedNovaServer",
            parameters=FedNova,
            paper="Wang et al., NeurIPS 2020, arXiv 2007.07481",
            note="pflbench_algorithms.fednova:note.md",
        )
    ]
