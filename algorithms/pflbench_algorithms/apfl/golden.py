"""Replays recorded runs of APFL.

Of outputs: the official code (github.com/MLOPTPSU/FedTorch); of parameters:
github.com/litian96/ditto.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from pflbench.conformance.golden import Recording
from pflbench.engine import RoundReport
from pflbench.method import Columns
from pflbench_algorithms.apfl import pflbench_algorithms
from pflbench_algorithms.recorded_rounds import RecordedRounds


class APFLRounds(RecordedRounds):
    """Also compares v of the cohort, and all clients' α."""

    def further(self, r: int, report: RoundReport) -> None:
        """Compare v and α."""
        recording, states = self.recording, self.simulation.states
        if recording.names("alpha"):
            shape = (recording.rounds, recording.clients)
            recorded = recording.array("alpha", shape)[r]
            self.differences.note("alpha", states["alpha"], recorded)

    def compare(
        self,
        r: int,
        quantity: str,
        ours: Callable[[], Tensor],
        lead: int | Sequence[int] | None,
        columns: Columns | None = None,
    ) -> None:
        """Compare as `RecordedRounds`, but as personal models v of the cohort."""
        if quantity == "personal":
            cohort, states = self.recording.cohorts()[r], self.simulation.states
            ours, lead = lambda: states["v"][cohort], len(cohort)
        super().compare(r, quantity, ours, lead, columns)


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest difference of every quantity.

    Parameters
    ----------
    recording
        In addition to the arrays of `RecordedRounds`: `alpha`, [rounds, K]. `personal` holds v of
        the cohort.
    engine
        "auto", "stacked" or "sequential".

    Raises
    ------
    InputError
        The recording is incomplete, or another method's.
    """
    return APFLRounds(recording, engine, pflbench_algorithms()[0]).replay()
