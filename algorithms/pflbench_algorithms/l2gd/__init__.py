"""L2GD: local models that are drawn to their mean, in rounds that a coin chooses.

Hanzely, Richtárik: Federated Learning of a Mixture of Global and Local Models, 2020, arXiv
2002.05516, Algorithm 1.
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
class L2GD:
    """Parameters of L2GD."""

    p: float = param(
        0.5,
        "probability of an aggregation, in place of local training",
        gt=0,
        lt=1,
        tune=(0.05, 0.95),
        source="chosen here: the paper's best is λ / (λ + L)",
    )
    theta: float = param(
        0.5,
        "θ = αλ / (np): how far an aggregation moves a model to the mean",
        ge=0,
        le=1,
        tune=(0.05, 1.0),
        log=True,
        source="what the paper's step size and its best p give",
    )
    weighting: Literal["samples", "uniform"] = param("uniform", WEIGHTING, source="paper, ψ")


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of L2GD."""
    return [
        AlgorithmSpec(
            name="l2gd",
            summary="Local models, drawn to their mean in rounds that a coin chooses",
            client="pflbench_algorithms.l2gd.client:L2GDClient",
            server="pflbench_algorithms.l2gd.server:L2GDServer",
            parameters=L2GD,
            paper="Hanzely, Richtárik 2020, arXiv 2002.05516",
            note="pflbench_algorithms.l2gd:note.md",
        )
    ]
