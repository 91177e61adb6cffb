"""CFL: FedAvg that splits its clients into clusters where their updates disagree.

Sattler, Müller, Samek: Clustered Federated Learning: Model-Agnostic Distributed Multi-Task
Optimization under Privacy Constraints, IEEE TNNLS 2020, arXiv 1910.01991.
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
class CFL:
    """Parameters of CFL."""

    eps_1: float = param(
        0.4,
        "ε₁: a cluster is split only if the norm of its mean update is below this",
        gt=0,
        tune=(0.01, 10.0),
        log=True,
        source="official code",
    )
    eps_2: float = param(
        1.6,
        "ε₂: and only if the largest norm of an update is above this",
        ge=0,
        tune=(0.01, 10.0),
        log=True,
        source="official code",
    )
    gamma_max: float = param(
        0.0,
        "γ_max: and only if √((1 - α) / 2) is above this, α being the largest cosine across",
        ge=0,
        lt=1,
        source="official code, which does not ask",
    )
    first_split: int = param(
        20,
        "rounds before the first that may split a cluster",
        ge=0,
        tune=(0, 50),
        source="official code",
    )
    weighting: Literal["samples", "uniform"] = param(
        "samples", WEIGHTING, source="paper, Algorithm 2"
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of CFL."""
    return [
        AlgorithmSpec(
            name="cfl",
            summary="FedAvg within clusters, which are split where updates disagree",
            client="pflbench.method:Client",
            server="pflbench_algorithms.cfl.server:CFLServer",
            parameters=CFL,
            paper="Sattler, Müller, Samek, IEEE TNNLS 2020, arXiv 1910.01991",
            note="pflbench_algorithms.cfl:note.md",
            golden="pflbench_algorithms.cfl.golden:replay",
        )
    ]
