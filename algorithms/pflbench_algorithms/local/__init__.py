"""Local: every client trains alone. The reference that every other method has to beat."""

from __future__ import annotations

from collections.abc import Sequence

from pflbench.hookspecs import hookimpl
from pflbench.specs import AlgorithmSpec


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of Local."""
    return [
        AlgorithmSpec(
            name="local",
            summary="No communication: every client trains its own model",
            client="pflbench_algorithms.local.client:KeptClient",
            server="pflbench.method:Server",
            note="pflbench_algorithms.local:note.md",
        )
    ]
