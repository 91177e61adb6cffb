"""Replays recorded runs of the official FedALA code (github.com/TsingZ0/FedALA)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from pflbench.conformance.golden import Recording
from pflbench.engine import RoundReport
from pflbench_algorithms.fedala import pflbench_algorithms
from pflbench_algorithms.fedala.client import FedALAClient
from pflbench_algorithms.recorded_rounds import RecordedRounds

KEYS = {"percent": "rand_percent", "tensors": "layer_idx", "window": "num_pre_loss"}
UNLIMITED = 100_000
"""Passes: the official code has no limit."""


class FedALARounds(RecordedRounds):
    """Also compares the weights, the passes, and the models that local training starts from."""

    def replay(self) -> Mapping[str, float]:
        """Play all rounds, with the models before each of them in mind."""
        self._before = self.simulation.states
        self._everyone = all(len(c) == self.recording.clients for c in self.recording.cohorts())
        return super().replay()

    def further(self, r: int, report: RoundReport) -> None:
        """Compare W, the passes of this round, and the mixed models."""
        recording, K, states = self.recording, self.recording.clients, self.simulation.states
        client = self.simulation.client
        assert isinstance(client, FedALAClient)
        if client.last.count:
            self.compare(r, "ala_weights", lambda: states["W"], K, client.last)
        if recording.names("ala_epochs"):
            passes = states["passes"] - self._before["passes"]
            recorded = recording.array("ala_epochs", (recording.rounds, K))[r]
            self.differences.note("ala_epochs", passes, recorded)
        mixed = self._mixed(client, report, states["W"])
        self.compare(r, "initialised", lambda: mixed, len(mixed))
        if self._everyone:
            self.compare_tests(r, "initialised/", mixed)
        self._before = {name: rows.clone() for name, rows in states.items()}

    def _mixed(self, client: FedALAClient, report: RoundReport, W: Tensor) -> Tensor:
        """Return the models [m, P] of the cohort before local training."""
        cohort, theta = report.cohort, report.received["model"]
        own = client.last.take(self._before["w"][cohort])
        return client.last.put(theta, own + (client.last.take(theta) - own) * W[cohort])


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest difference of every quantity.

    Parameters
    ----------
    recording
        In addition to the arrays of `RecordedRounds`: `batches/client{k}/ala`, [rounds, steps, B],
        of one pass of weight learning; `ala_epochs`, [rounds, K] passes;
        `round{r}/ala_weights/{parameter}`, [K, ...]; `round{r}/initialised/{parameter}`, [m, ...],
        and `initialised/test_*`.
    engine
        "auto", "stacked" or "sequential".

    Raises
    ------
    InputError
        The recording is incomplete, another method's, or sends the model to clients outside the
        cohort.
    """
    send, K = recording.config.get("send", "cohort"), recording.clients
    recording.ignored("send")
    if send not in ("all", "cohort"):
        raise recording.error(f"config says send = {send!r}, expected 'all' or 'cohort'")
    if send == "all" and any(len(cohort) < K for cohort in recording.cohorts()):
        raise recording.error(
            "it sends the model to all clients, also to those that do not train in the round; this "
            "method follows the paper: expected send = 'cohort'"
        )
    given: dict[str, object] = {"passes": UNLIMITED}
    if recording.config.get("layer_idx") == 0:  # in the official code, all of them
        given["tensors"] = len(recording.names("init/"))
        recording.ignored("layer_idx")
    return FedALARounds(recording, engine, pflbench_algorithms()[0], KEYS, given).replay()
