"""APFL: a mixture of a personal and the global model.

Deng, Kamani, Mahdavi: Adaptive Personalized Federated Learning, 2020, arXiv 2003.13461,
Algorithm 1.
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
class APFL:
    """Parameters of APFL."""

    alpha: float = param(
        0.5,
        "α: share of the personal model in the mixture, at first",
        ge=0,
        le=1,
        tune=(0.1, 0.9),
        source="paper, section 5 (0.25, 0.5 and 0.75)",
    )
    adaptive_alpha: bool = param(
        False, "whether each client learns its α, once a round", source="paper, Algorithm 1"
    )
    mixture: Literal["parameters", "outputs"] = param(
        "parameters",
        "what is mixed: the models' parameters, or their outputs as in the official code",
        source="paper, Algorithm 1",
    )
    weighting: Literal["samples", "uniform"] = param(
        "uniform", WEIGHTING, source="paper, Algorithm 1"
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of APFL."""
    return [
        AlgorithmSpec(
            name="apfl",
            summary="Each client mixes a model of its own with the global one",
            client="pflbench_algorithms.apfl.client:APFLClient",
            server="pflbench_algorithms.weighted_server:WeightedServer",
            parameters=APFL,
            paper="Deng, Kamani, Mahdavi, 2020, arXiv 2003.13461",
            note="pflbench_algorithms.apfl:note.md",
            golden="pflbench_algorithms.apfl.golden:replay",
        )
    ]
