"""FedFomo: every client weighs a few other clients' models by what they do for its validation.

Zhang, Sapra, Fidler, Yeung, Alvarez: Personalized Federated Learning with First Order Model
Optimization, ICLR 2021, arXiv 2012.08565, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.parameters import param
from pflbench.schema.specs import AlgorithmSpec


@dataclass(frozen=True)
class FedFomo:
    """Parameters of FedFomo."""

    downloads: int = param(
        4,
        "M: how many other clients' models a client downloads in a round",
        ge=0,
        tune=(1, 9),
        source="authors' README: 5 models, one of them the client's own",
    )
    epsilon: float = param(
        0.3,
        "ε: share of the downloads that are drawn at random in the first round",
        ge=0,
        le=1,
        tune=(0.0, 1.0),
        source="authors' README",
    )
    epsilon_decay: float = param(
        0.05, "how much ε falls in every round, until it is 0", ge=0, source="authors' README"
    )
    norm: Literal["l2", "l1"] = param(
        "l2", "the distance of two models: Euclidean, or of absolute differences", source="paper"
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of FedFomo."""
    return [
        AlgorithmSpec(
            name="fedfomo",
            summary="Every client mixes in a few others' models that lower its validation loss",
            client="pflbench_algorithms.fedfomo.client:FedFomoClient",
            server="pflbench_algorithms.fedfomo.server:FedFomoServer",
            parameters=FedFomo,
            paper="Zhang et al., ICLR 2021, arXiv 2012.08565",
            note="pflbench_algorithms.fedfomo:note.md",
            golden="pflbench_algorithms.fedfomo.golden:replay",
        )
    ]
