"""kNN-Per: a global model whose predictions are mixed with those of near training samples.

Marfoq, Neglia, Kameni, Vidal: Personalized Federated Learning through Local Memorization, ICML
2022, arXiv 2111.09360.
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
class KNNPer:
    """Parameters of kNN-Per."""

    weight: float | None = param(
        0.5,
        "λ: share of the neighbours in a prediction; none: each client chooses its own",
        ge=0,
        le=1,
        tune=(0.0, 1.0),
        source="chosen here",
    )
    neighbours: int = param(
        7,
        "k: how many near samples predict",
        ge=1,
        tune=(1, 10),
        source="official code, its example",
    )
    scale: float = param(
        1.0,
        "squared distance, as a mean over features, at which a neighbour counts 1/e",
        gt=0,
        tune=(0.01, 10.0),
        log=True,
        source="official code",
    )
    weighting: Literal["samples", "uniform"] = param(
        "samples", WEIGHTING, source="paper, equation 2"
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of kNN-Per."""
    return [
        AlgorithmSpec(
            name="knnper",
            summary="FedAvg's prediction, mixed with that of a client's own near samples",
            client="pflbench_algorithms.knnper.client:KNNPerClient",
            server="pflbench_algorithms.weighted_server:WeightedServer",
            parameters=KNNPer,
            paper="Marfoq, Neglia, Kameni, Vidal, ICML 2022, arXiv 2111.09360",
            note="pflbench_algorithms.knnper:note.md",
            golden="pflbench_algorithms.knnper.golden:replay",
        )
    ]
