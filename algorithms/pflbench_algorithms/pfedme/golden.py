"""Replays recorded runs of the official pFedMe code (github.com/CharlieDinh/pFedMe)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch

from pflbench.conformance.golden import Recording
from pflbench.method import Sgd
from pflbench_algorithms.pfedme import pflbench_algorithms
from pflbench_algorithms.recorded_rounds import RecordedRounds


class PFedMeRounds(RecordedRounds):
    """All clients train in every round; only the cohort's models are averaged."""

    def optimiser(self) -> Sgd:
        """Return the optimiser of θ: config `lr` is η, and `mu` a weight decay."""
        rate, mu = self.recording.real("personal_lr", 0.1), self.recording.real("mu", 0.0)
        sgd = super().optimiser()
        return Sgd(rate, sgd.momentum, sgd.weight_decay + mu)

    def replay(self) -> Mapping[str, float]:
        """Play each round with all clients, and then once more with the cohort alone."""
        sim, K = self.simulation, self.recording.clients
        for r, cohort in enumerate(self.recording.cohorts()):
            before = sim.state()
            report = sim.round(r, torch.arange(K))
            self.compare(r, "received", partial(self.received, report), K)
            self.compare(r, "local", partial(self.local, report), K)
            self.compare(r, "personal", partial(self.personal, report), K)
            self.differences.note_evaluation(r, sim.evaluate(r + 1)[0])
            sim.restore(before)
            report = sim.round(r, cohort)
            self.compare(r, "aggregated", self.aggregated, None)
        return self.differences.largest


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest difference of every quantity.

    Parameters
    ----------
    recording
        As of `RecordedRounds`, with `local` and `personal` of all clients: all train, and
        the cohort is averaged.
    engine
        "auto", "stacked" or "sequential".

    Raises
    ------
    InputError
        The recording is incomplete, or another method's.
    """
    keys = {"lam": "lambda", "eta": "lr"}
    return PFedMeRounds(recording, engine, pflbench_algorithms()[0], keys).replay()
