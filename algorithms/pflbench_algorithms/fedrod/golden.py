"""Replays recorded runs of PFLlib's FedRoD (github.com/TsingZ0/PFLlib)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from pflbench.conformance.golden import Recording
from pflbench.engine import RoundReport
from pflbench.method import Columns
from pflbench_algorithms.fedrod import pflbench_algorithms
from pflbench_algorithms.recorded_rounds import RecordedRounds


class _Rounds(RecordedRounds):
    @property
    def personal_columns(self) -> Columns:
        """What is recorded as personal: the personal heads alone."""
        return self.simulation.task.layout.block("head")

    def personal(self, report: RoundReport) -> Tensor:
        """Return the personal heads ρ of all clients."""
        return self.simulation.states["rho"]


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest difference of every quantity: see `RecordedRounds`."""
    return _Rounds(recording, engine, pflbench_algorithms()[0]).replay()
