"""FML: a personal model and a copy of the global one learn from the labels and from each other.

Shen, Zhang, Jia, Zhang, Huang, Zhou, Kuang, Wu, Wu: Federated Mutual Learning, 2020,
arXiv 2006.16765.
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
class FML:
    """Parameters of FML."""

    alpha: float = param(
        0.5,
        "α: share of the labels in the personal model's objective; the rest is the meme's teaching",
        ge=0,
        le=1,
        tune=(0.1, 1.0),
        source="authors' code",
    )
    beta: float = param(
        0.5,
        "β: share of the labels in the meme's objective; the rest is the personal model's teaching",
        ge=0,
        le=1,
        tune=(0.1, 1.0),
        source="authors' code",
    )
    weighting: Literal["samples", "uniform"] = param("uniform", WEIGHTING, source="authors' code")


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of FML."""
    return [
        AlgorithmSpec(
            name="fml",
            summary="A personal model and the global one teach each other at every client",
            client="pflbench_algorithms.fml.client:FMLClient",
            server="pflbench_algorithms.weighted_server:WeightedServer",
            parameters=FML,
            paper="Shen et al., 2020, arXiv 2006.16765",
            note="pflbench_algorithms.fml:note.md",
        )
    ]
