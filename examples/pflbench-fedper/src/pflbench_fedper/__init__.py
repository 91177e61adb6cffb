"""FedPer: a shared base, and personal last layers that never leave their client.

Arivazhagan, Aggarwal, Singh, Choudhary: Federated Learning with Personalization Layers, 2019,
arXiv 1912.00818.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pflbench import AlgorithmSpec, hookimpl, param


@dataclass(frozen=True)
class FedPer:
    """Parameters of FedPer."""

    personal_layers: int = param(
        1, "last layers that stay with the client", ge=1, tune=(1, 3), source="the classifier alone"
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of FedPer."""
    return [
        AlgorithmSpec(
            name="fedper",
            summary="FedAvg on the base; each client's last layers stay its own",
            client="pflbench_fedper.method:FedPerClient",
            server="pflbench_fedper.method:FedPerServer",
            parameters=FedPer,
            paper="Arivazhagan, Aggarwal, Singh, Choudhary 2019, arXiv 1912.00818",
            note="pflbench_fedper:note.md",
        )
    ]
