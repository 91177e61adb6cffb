"""IFCA: clients choose among several global models, each of which learns from those that chose it.

Ghosh, Chung, Yin, Ramchandran: An Efficient Framework for Clustered Federated Learning, NeurIPS
2020, arXiv 2006.04088, Algorithm 1 with model averaging.
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
class IFCA:
    """Parameters of IFCA."""

    clusters: int = param(
        4,
        "k: number of global models",
        ge=1,
        tune=(2, 8),
        source="paper, section 6 (rotated MNIST)",
    )
    weighting: Literal["samples", "uniform"] = param(
        "uniform", WEIGHTING, source="paper, Algorithm 1"
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of IFCA."""
    return [
        AlgorithmSpec(
            name="ifca",
            summary="Several global models; a client takes the one that fits its data best",
            client="pflbench_algorithms.ifca.client:IFCAClient",
            server="pflbench_algorithms.ifca.server:IFCAServer",
            parameters=IFCA,
            paper="Ghosh et al., NeurIPS 2020, arXiv 2006.04088",
            note="pflbench_algorithms.ifca:note.md",
            golden="pflbench_algorithms.ifca.golden:replay",
        )
    ]
