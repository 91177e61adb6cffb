"""Replays recorded runs of the official FedDBE (github.com/TsingZ0/DBE)."""

from __future__ import annotations

from collections.abc import Mapping

from pflbench.conformance.golden import Recording
from pflbench.engine import RoundReport
from pflbench_algorithms.feddbe import pflbench_algorithms
from pflbench_algorithms.feddbe.client import FedDBEClient
from pflbench_algorithms.feddbe.server import FedDBEServer
from pflbench_algorithms.recorded_rounds import RecordedRounds


class FedDBERounds(RecordedRounds):
    """Plays the initialization period first; also compares means and vectors."""

    def prelude(self) -> int:
        """Play a round of all clients, and compare z̄ and z̄ᵍ."""
        sim, K = self.simulation, self.recording.clients
        server, client = sim.server, sim.client
        assert isinstance(server, FedDBEServer)
        assert isinstance(client, FedDBEClient)
        D = client.head.features
        means = sim.round(0, sim.everyone).uploads["mean"]
        for name, ours, shape in (
            ("initial_means", means, (K, D)),
            ("global_mean", server.consensus, (D,)),
        ):
            if self.recording.names(name):
                self.differences.note(name, ours, self.recording.tensor(name, shape))
        return 1

    def further(self, r: int, report: RoundReport) -> None:
        """Compare z̄ᵖ of all clients."""
        recording, vectors = self.recording, self.simulation.states["vector"]
        if recording.names("client_means"):
            recorded = recording.tensor("client_means", (recording.rounds, *vectors.shape))
            self.differences.note("client_means", vectors, recorded[r])


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest difference of every quantity.

    Parameters
    ----------
    recording
        In addition to the arrays of `RecordedRounds`: `initial_means`, [K, D], and `global_mean`,
        [D], of a round of all clients before the first one; `client_means`, [rounds, K, D].
    engine
        "auto", "stacked" or "sequential".

    Raises
    ------
    InputError
        The recording is incomplete, or another method's.
    """
    return FedDBERounds(recording, engine, pflbench_algorithms()[0]).replay()
