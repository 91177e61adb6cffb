"""pFedGraph: a collaboration graph, inferred from updates and sizes, mixes personal models.

Ye, Ni, Wu, Chen, Wang: Personalized Federated Learning with Inferred Collaboration Graphs,
ICML 2023.
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
class PFedGraph:
    """Parameters of pFedGraph."""

    alpha: float = param(
        0.8,
        "α: how near the graph's rows are to the shares of samples",
        gt=0,
        tune=(0.1, 10.0),
        log=True,
        source="official code",
    )
    lam: float = param(
        0.01,
        "λ: weight of the similarity to neighbours in local training",
        ge=0,
        tune=(0.001, 1.0),
        log=True,
        source="official code",
    )
    similarity_sign: Literal[-1, 1] = param(
        -1,
        "sign of the similarity in the local loss; the official code's is 1",
        source="paper, equation 1",
    )
    same_above: float = param(
        1.0,
        "cosine of two updates above which they count as equal; 0.9 in the official code",
        gt=0,
        le=1,
        source="paper",
    )
    weighting: Literal["samples", "uniform"] = param("samples", WEIGHTING, source="paper")


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of pFedGraph."""
    return [
        AlgorithmSpec(
            name="pfedgraph",
            summary="Clients start from mixtures of models whose updates point their way",
            client="pflbench_algorithms.pfedgraph.client:PFedGraphClient",
            server="pflbench_algorithms.pfedgraph.server:PFedGraphServer",
            parameters=PFedGraph,
            paper="Ye et al., ICML 2023",
            note="pflbench_algorithms.pfedgraph:note.md",
            golden="pflbench_algorithms.pfedgraph.golden:replay",
        )
    ]
