"""Replays recorded runs of FedAMP (github.com/FLAIR-Community/Fling)."""

from __future__ import annotations

from collections.abc import Mapping

from pflbench.conformance.golden import Recording
from pflbench.engine import RoundReport
from pflbench_algorithms.fedamp import pflbench_algorithms
from pflbench_algorithms.fedamp.server import FedAMPServer
from pflbench_algorithms.recorded_rounds import RecordedRounds


class FedAMPRounds(RecordedRounds):
    """Also compares the attention, and the last cloud models."""

    def further(self, r: int, report: RoundReport) -> None:
        """Compare ξ, and after the last round the cloud models."""
        sim, recording = self.simulation, self.recording
        server, everyone, K, R = sim.server, sim.everyone, recording.clients, recording.rounds
        assert isinstance(server, FedAMPServer)
        recorded = recording.array("attention", (R, K, K))[r]
        self.differences.note("attention", server.attention(everyone), recorded)
        if r == R - 1:
            last = self.recorded("final/received/", [K])
            self.differences.note("received", server.serve(everyone)["model"], last)


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest difference of every quantity.

    Parameters
    ----------
    recording
        In addition to the arrays of `RecordedRounds`: `attention`, [rounds, K, K], and
        `final/received/{parameter}`, the cloud models after the last round.
    engine
        "auto", "stacked" or "sequential".

    Raises
    ------
    InputError
        The recording is incomplete, or another method's.
    """
    keys = {"lam": "lambda"}
    return FedAMPRounds(recording, engine, pflbench_algorithms()[0], keys).replay()
