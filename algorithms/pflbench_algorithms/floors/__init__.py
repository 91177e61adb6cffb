"""Majority class and random class: predictions without a network, the floor of every board."""

from __future__ import annotations

from collections.abc import Sequence

from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.specs import AlgorithmSpec


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the records of both."""
    return [
        AlgorithmSpec(
            name="majority-class",
            summary="Reference: every client predicts its most frequent class, and trains nothing",
            client="pflbench_algorithms.floors.client:MajorityClient",
            server="pflbench.method:Server",
            note="pflbench_algorithms.floors:note.md",
        ),
        AlgorithmSpec(
            name="random-class",
            summary="Reference: every sample gets a class at random, and nothing is trained",
            client="pflbench_algorithms.floors.client:RandomClient",
            server="pflbench.method:Server",
            note="pflbench_algorithms.floors:note.md",
        ),
    ]
