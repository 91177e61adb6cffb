"""FedAvg: one global model, the average of the clients' trained models.

McMahan, Moore, Ramage, Hampson, Agüera y Arcas: Communication-Efficient Learning of Deep
Networks from Decentralized Data, AISTATS 2017, arXiv 1602.05629, Algorithm 1.
Its two halves are the base classes `pflbench.method.Client` and `AveragingServer`.
"""

from __future__ import annotations

from collections.abc import Sequence

from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.specs import AlgorithmSpec

PAPER = "McMahan et al., AISTATS 2017, arXiv 1602.05629"


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of FedAvg."""
    return [
        AlgorithmSpec(
            name="fedavg",
            summary="One global model: the average of the clients', weighted by samples",
            client="pflbench.method:Client",
            server="pflbench.method:AveragingServer",
            paper=PAPER,
            note="pflbench_algorithms.fedavg:note.md",
            golden="pflbench_algorithms.fedavg.golden:replay",
        )
    ]
