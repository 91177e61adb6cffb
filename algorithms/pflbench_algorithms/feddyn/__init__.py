"""FedDyn: each client's objective is corrected so that all agree where the mean is least.

Acar, Zhao, Matas Navarro, Mattina, Whatmough, Saligrama: Federated Learning Based on Dynamic
Regularization, ICLR 2021, arXiv 2111.04263, Algorithm 1.
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
class FedDyn:
    """Parameters of FedDyn."""

    alpha: float = param(
        0.01,
        "α: weight of the dynamic regulariser",
        gt=0,
        tune=(0.001, 1.0),
        log=True,
        source="official code, its examples",
    )
    weighting: Literal["samples", "uniform"] = param(
        "uniform", WEIGHTING, source="paper, Algorithm 1"
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of FedDyn."""
    return [
        AlgorithmSpec(
            name="feddyn",
            summary="A global model; clients' objectives are corrected by their past gradients",
            client="pflbench_algorithms.feddyn.client:FedDynClient",
            server="pflbench_algorithms.feddyn.server:FedDynServer",
            parameters=FedDyn,
            paper="Acar et al., ICLR 2021, arXiv 2111.04263",
            note="pflbench_algorithms.feddyn:note.md",
            golden="pflbench_algorithms.feddyn.golden:replay",
        )
    ]
