"""Replays recorded runs of the official FedPAC code (github.com/JianXu95/FedPAC)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from pflbench.conformance.golden import Recording
from pflbench.engine import RoundReport
from pflbench.method import Columns
from pflbench_algorithms.fedpac import pflbench_algorithms
from pflbench_algorithms.fedpac.server import FedPACServer
from pflbench_algorithms.recorded_rounds import RecordedRounds


class FedPACRounds(RecordedRounds):
    """Also compares V, h, α and the prototypes."""

    @property
    def shared(self) -> Columns:
        """The columns of the body."""
        return self.simulation.task.layout.block("body")

    def received(self, report: RoundReport) -> Tensor:
        """Return the body that the cohort received."""
        return self.shared.take(report.received["model"])

    def aggregated(self) -> Tensor:
        """Return the global body."""
        return self.shared.take(super().aggregated())

    def further(self, r: int, report: RoundReport) -> None:
        """Compare what the server learnt; it is recorded as 0 for clients outside the cohort."""
        recording, server, uploads = self.recording, self.simulation.server, report.uploads
        assert isinstance(server, FedPACServer)
        R, K, cohort = recording.rounds, recording.clients, report.cohort
        alpha = uploads["variance"].new_zeros(K, K)
        alpha[cohort.unsqueeze(1), cohort] = server.mixtures(uploads)
        for name, ours in (
            ("variance", self.placed(uploads["variance"], cohort)),
            ("class_features", self.placed(uploads["class_features"], cohort)),
            ("head_weights", alpha),
            ("prototypes", server.prototypes),
        ):
            if recording.names(name):
                self.differences.note(name, ours, recording.tensor(name, (R, *ours.shape))[r])

    def placed(self, rows: Tensor, cohort: Tensor) -> Tensor:
        """Return the rows of a cohort among those of all clients, the others 0."""
        everyone = rows.new_zeros(self.recording.clients, *rows.shape[1:])
        everyone[cohort] = rows
        return everyone


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest difference of every quantity.

    Parameters
    ----------
    recording
        In addition to the arrays of `RecordedRounds`: `batches/client{k}/head` and
        `batches/client{k}/body`; `variance` [rounds, K], `class_features` [rounds, K, C, D],
        `head_weights` [rounds, K, K] before they are divided by their sum, and `prototypes`
        [rounds, C, D].
    engine
        "auto", "stacked" or "sequential".

    Raises
    ------
    InputError
        The recording is incomplete, or another method's.
    """
    recording.ignored("body_epochs")  # the batches say it
    return FedPACRounds(recording, engine, pflbench_algorithms()[0], {"lam": "lambda"}).replay()
