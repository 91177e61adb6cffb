"""FedBABU: the body alone is trained and averaged; the head keeps its random initial value.

Oh, Kim, Yun: FedBABU: Toward Enhanced Representation for Federated Image Classification, ICLR 2022,
arXiv 2106.06042, Algorithm 1.
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
class FedBABU:
    """Parameters of FedBABU."""

    finetune_epochs: int = param(
        5,
        "τ_f: epochs of fine-tuning before each evaluation",
        ge=1,
        tune=(1, 20),
        source="that of fedavg-ft, so that the two compare",
    )
    finetune_lr: float | None = param(
        None,
        "learning rate of fine-tuning's own SGD; none: the scenario's optimiser",
        gt=0,
        source="as fedavg-ft",
    )
    finetune_momentum: float = param(
        0.9, "momentum of fine-tuning's own SGD", ge=0, lt=1, source="official code"
    )
    finetune_weight_decay: float = param(
        0.0, "weight decay of fine-tuning's own SGD", ge=0, source="official code"
    )
    weighting: Literal["samples", "uniform"] = param(
        "samples", WEIGHTING, source="paper, Algorithm 1"
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of FedBABU."""
    return [
        AlgorithmSpec(
            name="fedbabu",
            summary="The head stays as initialised in training, and is fine-tuned at evaluation",
            client="pflbench_algorithms.fedbabu.client:FedBABUClient",
            server="pflbench_algorithms.weighted_server:WeightedServer",
            parameters=FedBABU,
            paper="Oh, Kim, Yun, ICLR 2022, arXiv 2106.06042",
            note="pflbench_algorithms.fedbabu:note.md",
            golden="pflbench_algorithms.fedbabu.golden:replay",
        )
    ]
