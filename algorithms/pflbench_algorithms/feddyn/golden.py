"""Replays recorded runs of the official FedDyn code (github.com/alpemreacar/FedDyn)."""

from __future__ import annotations

from collections.abc import Mapping

from pflbench.conformance.golden import Recording
from pflbench.engine import RoundReport
from pflbench_algorithms.feddyn import pflbench_algorithms
from pflbench_algorithms.recorded_rounds import RecordedRounds


class FedDynRounds(RecordedRounds):
    """Also compares what clients remember."""

    def further(self, r: int, report: RoundReport) -> None:
        """Compare d_k of all clients."""
        states = self.simulation.states
        self.compare(r, "memory", lambda: states["drift"], self.recording.clients)


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest difference of every quantity.

    Parameters
    ----------
    recording
        In addition to the arrays of `RecordedRounds`: `round{r}/memory/{parameter}`, each client's
        -∇L_k(θ_k)/α.
    engine
        "auto", "stacked" or "sequential".

    Raises
    ------
    InputError
        The recording is incomplete, or another method's.
    """
    return FedDynRounds(recording, engine, pflbench_algorithms()[0]).replay()
