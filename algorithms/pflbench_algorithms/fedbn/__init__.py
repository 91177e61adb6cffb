"""FedBN: FedAvg whose clients keep their normalisation layers.

Li, Jiang, Zhang, Kamp, Dou: FedBN: Federated Learning on Non-IID Features via Local Batch
Normalization, ICLR 2021, arXiv 2102.07623, Algorithm 1.
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
class FedBN:
    """Parameters of FedBN."""

    weighting: Literal["samples", "uniform"] = param(
        "uniform", WEIGHTING, source="paper, Algorithm 1"
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of FedBN."""
    return [
        AlgorithmSpec(
            name="fedbn",
            summary="FedAvg of all layers but normalisation, which stays with the client",
            client="pflbench_algorithms.fedbn.client:FedBNClient",
            server="pflbench_algorithms.weighted_server:WeightedServer",
            parameters=FedBN,
            paper="Li, Jiang, Zhang, Kamp, Dou, ICLR 2021, arXiv 2102.07623",
            note="pflbench_algorithms.fedbn:note.md",
            golden="pflbench_algorithms.fedbn.golden:replay",
        )
    ]
