"""Replays recorded runs of the official FedBABU code (github.com/jhoon-oh/FedBABU)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from pflbench.conformance.golden import Recording
from pflbench.engine import RoundReport
from pflbench.engine.batches import Batches
from pflbench.engine.personal_evaluation import adapt
from pflbench_algorithms.fedbabu import pflbench_algorithms
from pflbench_algorithms.recorded_rounds import RecordedRounds


class FineTunedRounds(RecordedRounds):
    """The personal models are fine-tuned after every round, with recorded batches."""

    def batches(self) -> dict[str, Batches]:
        """Return the batches; those of fine-tuning are `batches/client{k}/finetune`."""
        streams = super().batches()
        if "finetune" not in streams:
            raise self.recording.error("it lacks 'batches/client0/finetune'")
        return {**streams, "adaptation": streams["finetune"]}

    def personal(self, report: RoundReport) -> Tensor:
        """Return the fine-tuned models, [K, P]."""
        everyone = self.simulation.everyone
        tuned = adapt(self.simulation, 0, everyone, super().personal(report))
        assert tuned is not None
        return tuned.uploads["model"]

    def further(self, r: int, report: RoundReport) -> None:
        """Compare the test of the models before fine-tuning, `global/test_*`."""
        self.compare_tests(r, "global/", super().personal(report))


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest difference of every quantity: see `RecordedRounds`."""
    return FineTunedRounds(recording, engine, pflbench_algorithms()[0]).replay()
