"""FedDBE: what is biased in a client's features stays with the client.

Zhang, Hua, Cao, Wang, Song, Xue, Ma, Guan: Eliminating Domain Bias for Federated Learning in
Representation Space, NeurIPS 2023, arXiv 2311.14975.
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
class FedDBE:
    """Parameters of FedDBE."""

    kappa: float = param(
        50.0,
        "κ: weight of what holds a client's mean feature near the consensus",
        ge=0,
        tune=(0.1, 100.0),
        log=True,
        source="official command (Fashion-MNIST)",
    )
    mean_momentum: float = param(
        1.0,
        "share of the present batch in a client's running mean feature",
        gt=0,
        le=1,
        tune=(0.1, 1.0),
        source="official command (Fashion-MNIST)",
    )
    weighting: Literal["samples", "uniform"] = param("samples", WEIGHTING, source="paper")


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of FedDBE."""
    return [
        AlgorithmSpec(
            name="feddbe",
            summary="FedAvg whose clients add a vector of their own to the features",
            client="pflbench_algorithms.feddbe.client:FedDBEClient",
            server="pflbench_algorithms.feddbe.server:FedDBEServer",
            parameters=FedDBE,
            paper="Zhang et al., NeurIPS 2023, arXiv 2311.14975",
            note="pflbench_algorithms.feddbe:note.md",
            golden="pflbench_algorithms.feddbe.golden:replay",
        )
    ]
