"""Replays recorded runs of the official FedBN code (github.com/med-air/FedBN)."""

from __future__ import annotations

from collections.abc import Mapping

from pflbench.conformance.golden import Recording
from pflbench_algorithms.fedbn import pflbench_algorithms
from pflbench_algorithms.recorded_rounds import RecordedRounds


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest difference of every quantity: see `RecordedRounds`."""
    recording.implied(private="bn")
    return RecordedRounds(recording, engine, pflbench_algorithms()[0]).replay()
