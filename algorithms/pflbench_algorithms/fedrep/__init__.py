"""FedRep: a shared representation, and a head of each client's own, trained one after the other.

Collins, Hassani, Mokhtari, Shakkottai: Exploiting Shared Representations for Personalized
Federated Learning, ICML 2021, arXiv 2102.07078, Algorithm 1.
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
class FedRep:
    """Parameters of FedRep."""

    head_epochs: int = param(
        10,
        "local epochs of the head, before the scenario's local budget of the body",
        ge=1,
        tune=(1, 10),
        source="paper, section 5",
    )
    weighting: Literal["samples", "uniform"] = param(
        "uniform", WEIGHTING, source="paper, Algorithm 1"
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of FedRep."""
    return [
        AlgorithmSpec(
            name="fedrep",
            summary="Clients train an own head first, then the body that they share",
            client="pflbench_algorithms.fedrep.client:FedRepClient",
            server="pflbench_algorithms.weighted_server:WeightedServer",
            parameters=FedRep,
            paper="Collins, Hassani, Mokhtari, Shakkottai, ICML 2021, arXiv 2102.07078",
            note="pflbench_algorithms.fedrep:note.md",
            golden="pflbench_algorithms.fedrep.golden:replay",
        )
    ]
