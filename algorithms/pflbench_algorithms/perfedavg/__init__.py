"""Per-FedAvg, first order: a global model that is good after one gradient step on a client.

Fallah, Mokhtari, Ozdaglar: Personalized Federated Learning with Theoretical Guarantees: A
Model-Agnostic Meta-Learning Approach, NeurIPS 2020, arXiv 2002.07948, Algorithm 1.
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
class PerFedAvg:
    """Parameters of Per-FedAvg."""

    alpha: float = param(
        0.01,
        "α: rate of the inner step, and of the personal step before evaluation",
        gt=0,
        tune=(0.001, 0.5),
        log=True,
        source="chosen here: the paper tunes it",
    )
    weighting: Literal["samples", "uniform"] = param(
        "uniform", WEIGHTING, source="paper, Algorithm 1"
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of Per-FedAvg."""
    return [
        AlgorithmSpec(
            name="perfedavg",
            summary="A global model that is good after one gradient step on a client",
            client="pflbench_algorithms.perfedavg.client:PerFedAvgClient",
            server="pflbench_algorithms.weighted_server:WeightedServer",
            parameters=PerFedAvg,
            paper="Fallah, Mokhtari, Ozdaglar, NeurIPS 2020, arXiv 2002.07948",
            note="pflbench_algorithms.perfedavg:note.md",
            golden="pflbench_algorithms.perfedavg.golden:replay",
        )
    ]
