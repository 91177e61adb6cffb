"""Replays recorded runs of the official Ditto code (github.com/litian96/ditto)."""

from __future__ import annotations

from collections.abc import Mapping

from pflbench.conformance.golden import Recording
from pflbench_algorithms.ditto import pflbench_algorithms
from pflbench_algorithms.recorded_rounds import RecordedRounds


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest difference of every quantity.

    Parameters
    ----------
    recording
        As of `RecordedRounds`.
    engine
        "auto", "stacked" or "sequential".

    Raises
    ------
    InputError
        The recording is incomplete, or another method's.
    """
    keys = {"lam": "lambda"}
    return RecordedRounds(recording, engine, pflbench_algorithms()[0], keys).replay()
