"""Ditto: a personal model next to the global one, held near it.

Li, Hu, Beirami, Smith: Ditto: Fair and Robust Federated Learning Through Personalization,
ICML 2021, arXiv 2012.04221, Algorithm 1.
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
class Ditto:
    """Parameters of Ditto."""

    lam: float = param(
        0.1,
        "λ: how strongly the personal model is held near the global one",
        ge=0,
        tune=(0.01, 2.0),
        log=True,
        source="chosen here: the paper tunes it",
    )
    weighting: Literal["samples", "uniform"] = param(
        "uniform", WEIGHTING, source="paper, Algorithm 1"
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of Ditto."""
    return [
        AlgorithmSpec(
            name="ditto",
            summary="A personal model next to the global one, held near it",
            client="pflbench_algorithms.ditto.client:DittoClient",
            server="pflbench_algorithms.weighted_server:WeightedServer",
            parameters=Ditto,
            paper="Li, Hu, Beirami, Smith, ICML 2021, arXiv 2012.04221",
            note="pflbench_algorithms.ditto:note.md",
            golden="pflbench_algorithms.ditto.golden:replay",
        )
    ]
