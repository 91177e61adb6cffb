"""FedPAC: features aligned with global prototypes, classifiers combined for each client.

Xu, Tong, Huang: Personalized Federated Learning with Feature Alignment and Classifier
Collaboration, ICLR 2023, arXiv 2306.11867, Algorithm 1.
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
class FedPAC:
    """Parameters of FedPAC."""

    lam: float = param(
        1.0,
        "λ: weight of the distance from the global prototypes",
        ge=0,
        tune=(0.01, 10.0),
        log=True,
        source="official code",
    )
    head_epochs: int = param(
        1,
        "local epochs of the head, before the scenario's local budget of the body",
        ge=1,
        tune=(1, 5),
        source="official code",
    )
    head_lr: float | None = param(
        None,
        "learning rate of the head; none: the scenario's",
        gt=0,
        tune=(0.001, 1.0),
        log=True,
        source="chosen here",
    )
    small_weight: float = param(
        0.001, "weights of heads up to this are taken as 0", ge=0, le=1, source="official code"
    )
    weighting: Literal["samples", "uniform"] = param(
        "samples", WEIGHTING, source="paper, Algorithm 1"
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of FedPAC."""
    return [
        AlgorithmSpec(
            name="fedpac",
            summary="A shared body with aligned features; each head is the best mixture for it",
            client="pflbench_algorithms.fedpac.client:FedPACClient",
            server="pflbench_algorithms.fedpac.server:FedPACServer",
            parameters=FedPAC,
            paper="Xu, Tong, Huang, ICLR 2023, arXiv 2306.11867",
            note="pflbench_algorithms.fedpac:note.md",
            golden="pflbench_algorithms.fedpac.golden:replay",
        )
    ]
