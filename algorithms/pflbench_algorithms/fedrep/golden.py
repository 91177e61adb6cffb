"""Replays recorded runs of the official FedRep code (github.com/lgcollins/FedRep)."""

from __future__ import annotations

from collections.abc import Mapping

from pflbench.conformance.golden import Recording
from pflbench_algorithms.fedrep import pflbench_algorithms
from pflbench_algorithms.recorded_rounds import RecordedRounds


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest difference of every quantity: see `RecordedRounds`.

    Parameters
    ----------
    recording
        With `batches/client{k}/head` and `batches/client{k}/body`.
    engine
        "auto", "stacked" or "sequential".
    """
    recording.ignored("body_epochs")  # the batches say it
    return RecordedRounds(recording, engine, pflbench_algorithms()[0]).replay()
