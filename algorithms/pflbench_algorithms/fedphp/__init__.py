"""FedPHP: a client's earlier models, averaged over the rounds, teach its next one.

Li, Zhan, Shao, Li, Song: FedPHP: Federated Personalization with Inherited Private Models, ECML
PKDD 2021.
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
class FedPHP:
    """Parameters of FedPHP."""

    lam: float = param(
        0.1,
        "λ: share of the teaching in the objective; the labels' is 1 - λ",
        ge=0,
        le=1,
        tune=(0.01, 0.9),
        log=True,
        source="authors' scripts",
    )
    transfer: Literal["kd", "mmd"] = param(
        "kd",
        "what the private model teaches: its outputs, or the distribution of its features",
        source="authors' scripts, which have both",
    )
    temperature: float = param(
        4.0, "by which the private model's outputs are divided (kd)", gt=0, source="authors' code"
    )
    mu: float = param(
        0.9,
        "weight of the private model's past, in the end",
        ge=0,
        lt=1,
        tune=(0.0, 0.95),
        source="authors' code",
    )
    horizon: int = param(
        20,
        "rounds of a client until that weight is reached, from 0 and evenly",
        ge=1,
        tune=(1, 100),
        source="chosen here: the paper's is the number of rounds that a client is expected in",
    )
    weighting: Literal["samples", "uniform"] = param("samples", WEIGHTING, source="authors' code")


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of FedPHP."""
    return [
        AlgorithmSpec(
            name="fedphp",
            summary="FedAvg, taught by the mean of the client's own earlier models",
            client="pflbench_algorithms.fedphp.client:FedPHPClient",
            server="pflbench_algorithms.weighted_server:WeightedServer",
            parameters=FedPHP,
            paper="Li et al., ECML PKDD 2021",
            note="pflbench_algorithms.fedphp:note.md",
        )
    ]
