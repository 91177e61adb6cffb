"""Replays recorded runs of SCAFFOLD (github.com/alpemreacar/FedDyn)."""

from __future__ import annotations

from collections.abc import Mapping

from pflbench.conformance.golden import Recording
from pflbench.engine import RoundReport
from pflbench_algorithms.recorded_rounds import RecordedRounds
from pflbench_algorithms.scaffold import pflbench_algorithms
from pflbench_algorithms.scaffold.server import ScaffoldServer


class ScaffoldRounds(RecordedRounds):
    """Also compares the control variates."""

    def further(self, r: int, report: RoundReport) -> None:
        """Compare c_k of all clients, and c."""
        server, states = self.simulation.server, self.simulation.states
        assert isinstance(server, ScaffoldServer)
        self.compare(r, "control", lambda: states["control"], self.recording.clients)
        self.compare(r, "server_control", lambda: server.c, None)


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest difference of every quantity.

    Parameters
    ----------
    recording
        In addition to the arrays of `RecordedRounds`: `round{r}/control/{parameter}` and
        `round{r}/server_control/{parameter}`.
    engine
        "auto", "stacked" or "sequential".

    Raises
    ------
    InputError
        The recording is incomplete, or another method's.
    """
    return ScaffoldRounds(recording, engine, pflbench_algorithms()[0]).replay()
