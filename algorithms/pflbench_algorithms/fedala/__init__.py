"""FedALA: each client learns how much of the global model to take, number by number.

Zhang, Hua, Wang, Song, Xue, Ma, Guan: FedALA: Adaptive Local Aggregation for Personalized
Federated Learning, AAAI 2023, arXiv 2212.01197, Algorithm 1.
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
class FedALA:
    """Parameters of FedALA."""

    eta: float = param(
        1.0,
        "η: learning rate of the weights",
        ge=0,
        tune=(0.1, 10.0),
        log=True,
        source="authors' code",
    )
    percent: float = param(
        80.0,
        "s: percentage of a client's samples on which it learns weights, drawn in every round",
        gt=0,
        le=100,
        tune=(5.0, 100.0),
        source="authors' code",
    )
    tensors: int = param(
        2,
        "how many of the last parameter tensors are mixed; 2 are the last layer's (p = 1)",
        ge=0,
        tune=(0, 6),
        source="authors' code",
    )
    threshold: float = param(
        0.1,
        "the first time, weights are learnt until the losses' standard deviation is below it",
        ge=0,
        source="authors' code",
    )
    window: int = param(
        10, "how many last losses that deviation is of", ge=1, source="authors' code"
    )
    passes: int = param(
        50, "passes of the first time at most; the paper has no limit", ge=1, source="chosen here"
    )
    weighting: Literal["samples", "uniform"] = param(
        "samples", WEIGHTING, source="paper, Algorithm 1"
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of FedALA."""
    return [
        AlgorithmSpec(
            name="fedala",
            summary="Each client learns how much of the global model to take into its own",
            client="pflbench_algorithms.fedala.client:FedALAClient",
            server="pflbench_algorithms.weighted_server:WeightedServer",
            parameters=FedALA,
            paper="Zhang et al., AAAI 2023, arXiv 2212.01197",
            note="pflbench_algorithms.fedala:note.md",
            golden="pflbench_algorithms.fedala.golden:replay",
        )
    ]
