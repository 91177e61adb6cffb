"""Replays recorded runs of the official kNN-Per code (github.com/omarfoq/knn-per)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from pflbench.conformance.golden import Recording
from pflbench.engine import RoundReport
from pflbench.engine.interface import Padded
from pflbench.federation import Split
from pflbench_algorithms.knnper import pflbench_algorithms
from pflbench_algorithms.knnper.client import KNNPerClient
from pflbench_algorithms.recorded_rounds import RecordedRounds

KERNEL = "exp(-squared distance / (features * scale))"


class KNNPerRounds(RecordedRounds):
    """Also compares the neighbours' predictions, FedAvg's, and those of other weights λ."""

    def further(self, r: int, report: RoundReport) -> None:
        """Compare what is recorded of the round's evaluation."""
        recording, K = self.recording, self.recording.clients
        sim = self.simulation
        self.compare_tests(r, "global/", sim.personal(sim.everyone))
        if recording.names(f"round{r}/knn/"):
            h = self.mixed(1.0, "test").logits.exp()
            for k, n in enumerate(sim.federation.test.sizes.tolist()):
                name = f"round{r}/knn/client{k}"
                recorded = recording.array(name, (n, sim.task.classes))
                self.differences.note("knn", h[k, :n], recorded)
        if not recording.names("grid/"):
            return
        weights = recording.tensor("grid/weights")
        splits: tuple[Split, ...] = ("val", "test")
        for split in splits:
            name = f"grid/{split}_accuracy"
            if not recording.names(name):
                continue
            recorded = recording.array(name, (recording.rounds, K, len(weights)))[r]
            ours = [self.accuracy(self.mixed(float(λ), split)) for λ in weights]
            self.differences.note(name, torch.stack(ours, dim=1), recorded)

    def mixed(self, weight: float, split: Split) -> Padded:
        """Return all clients' predictions with another λ."""
        sim, everyone = self.simulation, self.simulation.everyone
        client = KNNPerClient(replace(self.parameters, weight=weight), sim.task)
        states, served = sim.taken(everyone), sim.served(everyone)
        clients, shards = everyone.tolist(), sim.shards[split]
        return sim.engine.predictions(client, states, served, shards, clients, sim.local)

    @staticmethod
    def accuracy(outputs: Padded) -> Tensor:
        """Return each client's accuracy [K]."""
        hits = (outputs.logits.argmax(dim=-1) == outputs.y) * outputs.mask
        return hits.sum(dim=1) / outputs.mask.sum(dim=1)


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest difference of every quantity.

    Parameters
    ----------
    recording
        In addition to the arrays of `RecordedRounds`: `round{r}/knn/client{k}`, [n_test, C], the
        neighbours' predictions; `grid/weights` [W] and `grid/{val,test}_accuracy`
        [rounds, K, W], of other weights λ.
    engine
        "auto", "stacked" or "sequential".

    Raises
    ------
    InputError
        The recording is incomplete, or another method's.
    """
    recording.implied(kernel=KERNEL)
    return KNNPerRounds(recording, engine, pflbench_algorithms()[0]).replay()
