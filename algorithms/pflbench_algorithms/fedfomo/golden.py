"""Replays recorded runs of the official FedFomo code (github.com/NVlabs/FedFomo)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pflbench.conformance.golden import Recording
from pflbench.engine import RoundReport
from pflbench_algorithms.fedfomo import pflbench_algorithms
from pflbench_algorithms.fedfomo.server import FedFomoServer
from pflbench_algorithms.recorded_rounds import RecordedRounds


class RecordedServer(FedFomoServer):
    """Sends the models that were drawn in the recording.

    Attributes
    ----------
    downloads
        [rounds, N, M] clients; -1 is no client.
    """

    downloads: Tensor

    def choose(self, round: int, cohort: Tensor, count: int) -> Tensor:
        """Return the recorded clients; their number is the recording's."""
        drawn = self.downloads[round][cohort]
        return drawn[drawn >= 0].view(len(cohort), -1)


class FedFomoRounds(RecordedRounds):
    """Also compares the weights, and the models that local training starts from."""

    def replay(self) -> Mapping[str, float]:
        """Play all rounds with the recorded downloads."""
        server = self.simulation.server
        assert isinstance(server, RecordedServer)
        server.downloads = self._downloads()
        return super().replay()

    def _downloads(self) -> Tensor:
        """Return whose models each client downloaded, [rounds, K, M]."""
        recording = self.recording
        found = _downloads(recording)
        for r, cohort in enumerate(recording.cohorts()):
            rows = found[r, cohort.numpy()]
            if len(set((rows >= 0).sum(axis=1).tolist())) > 1:
                raise recording.error(
                    f"'downloads' of round {r} has more clients for one client than for another: "
                    "expected as many for all of a cohort"
                )
            for k, row in zip(cohort.tolist(), rows.tolist(), strict=True):
                others = [n for n in row if n >= 0]
                if k in others or len(set(others)) < len(others):
                    raise recording.error(
                        f"'downloads' of round {r} has client {k} download its own model, or one "
                        "twice"
                    )
        return torch.from_numpy(found)

    def further(self, r: int, report: RoundReport) -> None:
        """Compare weights of the cohort, and where local training started."""
        recording, K = self.recording, self.recording.clients
        before = self.simulation.states["before"]
        self.compare(r, "initialised", lambda: before, K)
        self.compare_tests(r, "initialised/", before)
        for name, ours in (("raw_weights", "gains"), ("weights", "weights")):
            if recording.names(name):
                recorded = recording.array(name, (recording.rounds, K, K))[r]
                self.differences.note(name, self._matrix(r, report, ours), recorded)

    def _matrix(self, r: int, report: RoundReport, name: str) -> np.ndarray:
        """Return rows [K, K] of the cohort's weights, 0 for clients that were not downloaded."""
        server, cohort, K = self.simulation.server, report.cohort, self.recording.clients
        assert isinstance(server, RecordedServer)
        values = report.context[name]
        downloaded = server.choose(r, cohort, values.shape[1] - 1)
        itself = cohort.unsqueeze(1)
        found = values.new_zeros(K, K)
        found[itself, torch.cat([itself, downloaded], dim=1)] = values
        return found.numpy()


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest difference of every quantity.

    Parameters
    ----------
    recording
        In addition to the arrays of `RecordedRounds`: `downloads`, [rounds, K, M] whose models each
        client downloads, -1 being no client's; `raw_weights` and `weights`, [rounds, K, K];
        `round{r}/initialised/{parameter}`, [K, ...], and `initialised/test_*`.
    engine
        "auto", "stacked" or "sequential".

    Raises
    ------
    InputError
        The recording is incomplete, or another method's.
    """
    spec = replace(
        pflbench_algorithms()[0], server="pflbench_algorithms.fedfomo.golden:RecordedServer"
    )
    M = int(_downloads(recording).shape[2])
    recording.implied(downloads=M)
    return FedFomoRounds(recording, engine, spec, parameters={"downloads": M}).replay()


def _downloads(recording: Recording) -> np.ndarray:
    found = recording.indices("downloads", -1, recording.clients - 1, most=3)
    if found.shape[:-1] != (recording.rounds, recording.clients):
        raise recording.error(
            f"'downloads' has shape {found.shape}, expected a row for each of {recording.rounds} "
            f"rounds and {recording.clients} clients"
        )
    return found
