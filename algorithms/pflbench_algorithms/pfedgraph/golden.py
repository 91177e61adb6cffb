"""Replays recorded runs of the official pFedGraph (github.com/MediaBrain-SJTU/pFedGraph)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pflbench.conformance.golden import Recording
from pflbench.engine import RoundReport
from pflbench_algorithms.pfedgraph import pflbench_algorithms
from pflbench_algorithms.pfedgraph.server import PFedGraphServer
from pflbench_algorithms.recorded_rounds import RecordedRounds

SAME_ABOVE = 0.9
"""The cosine above which the official code takes two updates as equal."""


class PFedGraphRounds(RecordedRounds):
    """Also compares similarities, the graph, and tests of the models before they are mixed."""

    def further(self, r: int, report: RoundReport) -> None:
        """Compare s and G among the cohort, and the tests of local models if all took part."""
        sim, cohort, K = self.simulation, report.cohort, self.recording.clients
        server = sim.server
        assert isinstance(server, PFedGraphServer)
        for name, ours in ("similarity", server.similarity), ("graph", server.graph(sim.everyone)):
            if self.recording.names(name):
                recorded = self.recording.tensor(name, (self.recording.rounds, K, K))[r]
                self.differences.note(name, among(ours, cohort), among(recorded, cohort))
        if len(cohort) == K:
            self.compare_tests(r, "local/", self.local(report))


def among(matrix: Tensor, cohort: Tensor) -> Tensor:
    """Return the rows and columns of a cohort."""
    return matrix[cohort][:, cohort]


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest difference of every quantity.

    Parameters
    ----------
    recording
        In addition to the arrays of `RecordedRounds`: `similarity` and `graph`, [rounds, K, K], and
        `local/test_*`. A similarity of 1 between different clients says that similarities above
        0.9 were replaced, as the official code does; a config entry `same_above` says it, too.
    engine
        "auto", "stacked" or "sequential".

    Raises
    ------
    InputError
        The recording is incomplete, or another method's.
    """
    more: dict[str, Any] = {}
    if "same_above" not in recording.config and recording.names("similarity"):
        K = recording.clients
        recorded = recording.tensor("similarity", (recording.rounds, K, K))
        ones = int((recorded == 1).sum(dim=(1, 2)).max())
        more = {"same_above": SAME_ABOVE} if ones > K else {}
    spec = pflbench_algorithms()[0]
    return PFedGraphRounds(recording, engine, spec, {"lam": "lambda"}, more).replay()
