"""FedAvg-FT: FedAvg's global model, fine-tuned by every client before it is used.

Cheng, Chadha, Duchi: Fine-tuning in Federated Learning, 2021, arXiv 2108.07313; the baseline
that many personalised methods do not beat. `FineTuning` fits any method with a global model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.parameters import param
from pflbench.schema.specs import AlgorithmSpec


@dataclass(frozen=True)
class FineTuned:
    """Parameters of fine-tuning."""

    epochs: int = param(
        5,
        "local epochs of fine-tuning before each evaluation",
        ge=1,
        tune=(1, 20),
        source="the local budget of the FEDORA setting",
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of FedAvg-FT."""
    return [
        AlgorithmSpec(
            name="fedavg-ft",
            summary="FedAvg, then local fine-tuning of the global model at evaluation",
            client="pflbench_algorithms.fedavg_ft.client:FedAvgFT",
            server="pflbench.method:AveragingServer",
            parameters=FineTuned,
            paper="Cheng, Chadha, Duchi 2021, arXiv 2108.07313",
            note="pflbench_algorithms.fedavg_ft:note.md",
        )
    ]
