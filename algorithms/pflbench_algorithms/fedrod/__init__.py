"""FedRoD: a generic and a personal classifier on one body.

Chen and Chao: On Bridging Generic and Personalized Federated Learning for Image Classification,
ICLR 2022, arXiv 2107.00778; the variant with a linear personal classifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.parameters import param
from pflbench.schema.specs import AlgorithmSpec


@dataclass(frozen=True)
class FedRoD:
    """Parameters of FedRoD."""

    gamma: float = param(
        1.0,
        "exponent of a client's class counts in the balanced softmax",
        gt=0,
        tune=(0.1, 2.0),
        source="paper, section 4.1 (balanced softmax)",
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of FedRoD."""
    return [
        AlgorithmSpec(
            name="fedrod",
            summary="A shared network for all classes, plus a personal classifier",
            client="pflbench_algorithms.fedrod.client:FedRoDClient",
            server="pflbench.method:AveragingServer",
            parameters=FedRoD,
            paper="Chen and Chao, ICLR 2022, arXiv 2107.00778",
            note="pflbench_algorithms.fedrod:note.md",
            golden="pflbench_algorithms.fedrod.golden:replay",
        )
    ]
