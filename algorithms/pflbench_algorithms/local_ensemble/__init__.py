"""The ensemble of Locals: every client trains alone, and all of their models vote."""

from __future__ import annotations

from collections.abc import Sequence

from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.specs import AlgorithmSpec


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of the ensemble."""
    return [
        AlgorithmSpec(
            name="local-ensemble",
            summary="Reference: the mean of the probabilities of all clients' Local models",
            client="pflbench_algorithms.local_ensemble.client:VotingClient",
            server="pflbench_algorithms.local_ensemble.server:CollectingServer",
            note="pflbench_algorithms.local_ensemble:note.md",
        )
    ]
