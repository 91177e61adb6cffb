"""SiloBN: FedAvg whose clients keep the running statistics of their batch normalisation.

Andreux, du Terrail, Beguier, Tramel: Siloed Federated Learning for Multi-Centric Histopathology
Datasets, MICCAI workshops 2020, arXiv 2008.07424.
"""

from __future__ import annotations

from collections.abc import Sequence

from pflbench import AlgorithmSpec, hookimpl


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of SiloBN."""
    return [
        AlgorithmSpec(
            name="silobn",
            summary="FedAvg; running statistics of batch normalisation stay with the client",
            client="pflbench_silobn.method:SiloBNClient",
            server="pflbench.method:AveragingServer",
            paper="Andreux, du Terrail, Beguier, Tramel 2020, arXiv 2008.07424",
            note="pflbench_silobn:note.md",
        )
    ]
