"""Global: one model that a server trains on the samples of all clients, pooled.

No federated method: the reference for what a federation loses because data stay with clients.
"""

from __future__ import annotations

from collections.abc import Sequence

from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.specs import AlgorithmSpec


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of Global."""
    return [
        AlgorithmSpec(
            name="global",
            summary="Reference: clients upload their data, and a server trains one model on all",
            client="pflbench_algorithms.centralised.client:PoolingClient",
            server="pflbench_algorithms.centralised.server:PoolingServer",
            note="pflbench_algorithms.centralised:note.md",
        )
    ]
