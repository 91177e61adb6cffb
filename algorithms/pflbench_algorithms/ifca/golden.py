"""Replays recorded runs of the official IFCA code (github.com/jichan3751/ifca)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from pflbench.conformance.golden import Recording
from pflbench.engine import RoundReport
from pflbench.engine.preparation import prepared
from pflbench.method import Rows
from pflbench_algorithms.ifca import pflbench_algorithms
from pflbench_algorithms.ifca.server import IFCAServer
from pflbench_algorithms.recorded_rounds import RecordedRounds


class IFCARounds(RecordedRounds):
    """Also compares the choices and the losses that they follow from."""

    def replay(self) -> Mapping[str, float]:
        """Play all rounds from the recorded models."""
        self.server.w = self.initials.clone()
        self.choices(0)
        return super().replay()

    @property
    def server(self) -> IFCAServer:
        """The server half."""
        server = self.simulation.server
        assert isinstance(server, IFCAServer)
        return server

    def received(self, report: RoundReport) -> Tensor:
        """Return all models, for each client of the cohort."""
        return report.received["models"]

    def aggregated(self) -> Tensor:
        """Return the server's models."""
        return self.server.w

    def further(self, r: int, report: RoundReport) -> None:
        """Compare the cohort's losses, and the choices of all clients after the round."""
        recording, shape = self.recording, (self.recording.rounds, self.recording.clients)
        if recording.names("cluster_losses"):
            losses = recording.array("cluster_losses", (*shape, *self.several))[r]
            mine = report.context["losses"]
            self.differences.note("cluster_losses", mine, losses[report.cohort.numpy()])
        self.choices(r + 1)

    def choices(self, r: int) -> None:
        """Compare what each client would choose after r rounds, if it is recorded."""
        recording = self.recording
        if recording.names("clusters"):
            shape = (recording.rounds + 1, recording.clients)
            choices = self.prepared()["cluster"]
            self.differences.note("clusters", choices, recording.array("clusters", shape)[r])

    def prepared(self) -> Rows:
        """Return what all clients would be evaluated with now."""
        sim, everyone = self.simulation, self.simulation.everyone
        states, served = sim.taken(everyone), sim.served(everyone)
        return prepared(sim, states, served, sim.local, everyone.tolist())


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest difference of every quantity.

    Parameters
    ----------
    recording
        In addition to the arrays of `RecordedRounds`: `clusters`, [rounds + 1, K], what each
        client chooses before every round and after the last one, and `cluster_losses`,
        [rounds, K, k], the losses at the start of every round.
    engine
        "auto", "stacked" or "sequential".

    Raises
    ------
    InputError
        The recording is incomplete, or another method's.
    """
    spec = pflbench_algorithms()[0]
    return IFCARounds(recording, engine, spec, models="clusters").replay()
