"""Local: every client trains alone. The reference that every other method must beat.

Local+ is Local with the additional steps of a fine-tuned method: the reference for such methods.
"""

from __future__ import annotations

from collections.abc import Sequence

from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.specs import AlgorithmSpec
from pflbench_algorithms.fedavg_ft import FineTuned


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the records of Local and Local+."""
    return [
        AlgorithmSpec(
            name="local",
            summary="No communication: every client trains its own model",
            client="pflbench_algorithms.local.client:KeptClient",
            server="pflbench.method:Server",
            note="pflbench_algorithms.local:note.md",
        ),
        AlgorithmSpec(
            name="local-plus",
            summary="Local with the further steps of a fine-tuned method, before each evaluation",
            client="pflbench_algorithms.local.plus:LongerKeptClient",
            server="pflbench.method:Server",
            parameters=FineTuned,
            note="pflbench_algorithms.local:note.md",
        ),
    ]
