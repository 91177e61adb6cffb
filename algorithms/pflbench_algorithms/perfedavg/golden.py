"""Replays recorded runs of Per-FedAvg (github.com/CharlieDinh/pFedMe, its baseline)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from pflbench.conformance.golden import Recording
from pflbench.engine import RoundReport
from pflbench.engine.personal_evaluation import adapt
from pflbench.method import Sgd
from pflbench_algorithms.perfedavg import pflbench_algorithms
from pflbench_algorithms.recorded_rounds import RecordedRounds


class PerFedAvgRounds(RecordedRounds):
    """Evaluates after a personal step on a recorded batch."""

    def optimiser(self) -> Sgd:
        """Return the outer optimiser: config `beta` is its rate, `lr` is α."""
        sgd = super().optimiser()
        return Sgd(self.recording.real("beta", 0.01), sgd.momentum, sgd.weight_decay)

    def personal(self, report: RoundReport) -> Tensor:
        """Return all clients' models after the personal step."""
        everyone = self.simulation.everyone
        adapted = adapt(self.simulation, 0, everyone, super().personal(report))
        assert adapted is not None
        return adapted.uploads["model"]


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest difference of every quantity.

    Parameters
    ----------
    recording
        In addition to the arrays of `RecordedRounds`: `batches/client{k}/finetune`, the batch of
        the personal step.
    engine
        "auto", "stacked" or "sequential".

    Raises
    ------
    InputError
        The recording is incomplete, or another method's.
    """
    recording.implied(variant="first-order", finetune_momentum=0.0, finetune_weight_decay=0.0)
    recording.implied(finetune_lr=recording.config.get("lr"))
    rounds = PerFedAvgRounds(recording, engine, pflbench_algorithms()[0], {"alpha": "lr"})
    rounds.simulation.adaptation_batches = recording.streams()["finetune"]
    return rounds.replay()
