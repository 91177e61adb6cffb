"""Replays recorded runs of the official FedEM code (github.com/omarfoq/FedEM)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pflbench.conformance.golden import Recording
from pflbench.engine import RoundReport
from pflbench.engine.gathering import unpadded
from pflbench_algorithms.fedem import pflbench_algorithms
from pflbench_algorithms.fedem.client import FedEMClient
from pflbench_algorithms.fedem.server import FedEMServer
from pflbench_algorithms.recorded_rounds import RecordedRounds


class FedEMRounds(RecordedRounds):
    """Also compares the responsibilities and the clients' shares."""

    def replay(self) -> Mapping[str, float]:
        """Play all rounds from the recorded components."""
        self.server.w = self.initials.clone()
        self.before = self.simulation.states["pi"].clone()
        sizes = self.recording.federation.train.sizes.tolist()
        equal = 1 / len(self.initials)
        self.q = [torch.full((len(self.initials), n), equal) for n in sizes]
        return super().replay()

    @property
    def server(self) -> FedEMServer:
        """The server half."""
        server = self.simulation.server
        assert isinstance(server, FedEMServer)
        return server

    @property
    def trained(self) -> tuple[int, ...]:
        """All components are trained."""
        return self.several

    def received(self, report: RoundReport) -> Tensor:
        """Return the components, for each client of the cohort."""
        return report.received["models"]

    def local(self, report: RoundReport) -> Tensor:
        """Return the cohort's components after local training."""
        return report.uploads["models"]

    def aggregated(self) -> Tensor:
        """Return the server's components."""
        return self.server.w

    def further(self, r: int, report: RoundReport) -> None:
        """Compare π of all clients, and q of all of their samples."""
        sim, recording, M = self.simulation, self.recording, len(self.initials)
        client, pi = sim.client, sim.states["pi"]
        assert isinstance(client, FedEMClient)
        if recording.names("mixture"):
            recorded = recording.array("mixture", (recording.rounds, *pi.shape))
            self.differences.note("mixture", pi, recorded[r])
        for k, theta in zip(report.cohort.tolist(), report.received["models"], strict=True):
            samples = unpadded(sim.local.train, k, theta.dtype)
            self.q[k] = client.responsibilities(theta, self.before[k], samples)
        self.before = pi.clone()
        if recording.names("responsibilities/"):
            for k, q in enumerate(self.q):
                name = f"responsibilities/client{k}"
                recorded = recording.array(name, (recording.rounds, M, q.shape[1]))
                self.differences.note("responsibilities", q, recorded[r])


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest difference of every quantity.

    Parameters
    ----------
    recording
        In addition to the arrays of `RecordedRounds`: `mixture`, [rounds, K, M], the clients' π,
        and `responsibilities/client{k}`, [rounds, M, n_k]. `local` holds M models a client.
    engine
        "auto", "stacked" or "sequential".

    Raises
    ------
    InputError
        The recording is incomplete, or another method's.
    """
    spec = pflbench_algorithms()[0]
    return FedEMRounds(recording, engine, spec, models="components").replay()
