"""Replays recorded runs of the official CFL code.

It is github.com/felisat/clustered-federated-learning.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from pflbench.conformance.golden import Recording
from pflbench.engine import RoundReport
from pflbench_algorithms.cfl import pflbench_algorithms
from pflbench_algorithms.cfl.server import CFLServer
from pflbench_algorithms.recorded_rounds import RecordedRounds


class CFLRounds(RecordedRounds):
    """Also compares the updates' cosines and norms, and the clusters."""

    def further(self, r: int, report: RoundReport) -> None:
        """Compare what the server found out in the round."""
        server, everyone = self.simulation.server, self.simulation.everyone
        assert isinstance(server, CFLServer)
        # Recordings call a cluster by its smallest member.
        alike = server.cluster == server.cluster[:, None]
        found = {
            "similarity": server.similarity(everyone),
            "mean_norm": server.norms[:, 0],
            "max_norm": server.norms[:, 1],
            "clusters": alike.to(torch.int64).argmax(dim=1),
        }
        for name, ours in found.items():
            if self.recording.names(name):
                shape = (self.recording.rounds, *ours.shape)
                self.differences.note(name, ours, self.recording.array(name, shape)[r])


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest difference of every quantity.

    Parameters
    ----------
    recording
        In addition to the arrays of `RecordedRounds`: `similarity`, [rounds, K, K], the updates'
        cosines; `mean_norm` and `max_norm`, [rounds, K], of each client's cluster before the
        round's splits; `clusters`, [rounds, K], after them.
    engine
        "auto", "stacked" or "sequential".

    Raises
    ------
    InputError
        The recording is incomplete, or another method's.
    """
    return CFLRounds(recording, engine, pflbench_algorithms()[0]).replay()
