"""FedProto: clients exchange the mean features of their classes, and no model.

Tan, Long, Liu, Zhou, Lu, Jiang, Zhang: FedProto: Federated Prototype Learning across
Heterogeneous Clients, AAAI 2022, arXiv 2105.00243, Algorithm 1.
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
class FedProto:
    """Parameters of FedProto."""

    lam: float = param(
        1.0,
        "λ: weight of the distance from the global prototypes",
        ge=0,
        tune=(0.01, 10.0),
        log=True,
        source="official code",
    )
    prediction: Literal["prototypes", "classifier"] = param(
        "prototypes",
        "what predicts: the nearest global prototype, or the client's last layer",
        source="paper",
    )
    weighting: Literal["samples", "uniform"] = param("uniform", WEIGHTING, source="official code")


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of FedProto."""
    return [
        AlgorithmSpec(
            name="fedproto",
            summary="Clients share the mean features of their classes, and keep their models",
            client="pflbench_algorithms.fedproto.client:FedProtoClient",
            server="pflbench_algorithms.fedproto.server:FedProtoServer",
            parameters=FedProto,
            paper="Tan et al., AAAI 2022, arXiv 2105.00243",
            note="pflbench_algorithms.fedproto:note.md",
            golden="pflbench_algorithms.fedproto.golden:replay",
        )
    ]
