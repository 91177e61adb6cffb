"""Replays recorded runs of the official FedProto code (github.com/yuetan031/FedProto)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from pflbench.conformance.golden import Recording
from pflbench.engine import RoundReport
from pflbench_algorithms.fedproto import pflbench_algorithms
from pflbench_algorithms.fedproto.client import FedProtoClient
from pflbench_algorithms.fedproto.server import FedProtoServer
from pflbench_algorithms.recorded_rounds import RecordedRounds


class FedProtoRounds(RecordedRounds):
    """Compares models that are kept, all prototypes, and predictions by prototypes."""

    def local(self, report: RoundReport) -> Tensor:
        """Return the cohort's models."""
        return self.simulation.states["w"][report.cohort]

    def further(self, r: int, report: RoundReport) -> None:
        """Compare prototypes, and what predicts by them."""
        sim, recording = self.simulation, self.recording
        R, K, C = recording.rounds, recording.clients, sim.task.classes
        server = sim.server
        assert isinstance(server, FedProtoServer)
        own = report.uploads["prototypes"].new_zeros(K, *server.prototypes.shape)
        own[report.cohort] = report.uploads["prototypes"]
        there = own.new_zeros(K, C)
        there[report.cohort] = (report.uploads["weight"] > 0).to(there)
        for name, ours in (
            ("client_prototypes", own),
            ("has_client_prototype", there),
            ("prototypes", server.prototypes),
            ("has_prototype", server.known),
        ):
            if recording.names(name):
                self.differences.note(name, ours, recording.tensor(name, (R, *ours.shape))[r])
        if recording.names("prototype/test_"):
            nearest = replace(self.parameters, prediction="prototypes")
            client, everyone = FedProtoClient(nearest, sim.task), sim.everyone
            outputs = sim.engine.predictions(
                client,
                sim.taken(everyone),
                sim.served(everyone),
                sim.shards["test"],
                everyone.tolist(),
                sim.local,
            )
            self.compare_outputs(r, "prototype/", outputs)


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest difference of every quantity.

    Parameters
    ----------
    recording
        In addition to the arrays of `RecordedRounds`, of which `test_*` are of the clients' last
        layers: `client_prototypes` [rounds, K, C, D], `has_client_prototype` [rounds, K, C],
        `prototypes` [rounds, C, D], `has_prototype` [rounds, C], and `prototype/test_*` of the
        nearest prototypes.
    engine
        "auto", "stacked" or "sequential".

    Raises
    ------
    InputError
        The recording is incomplete, or another method's.
    """
    spec, fixed = pflbench_algorithms()[0], {"prediction": "classifier"}
    return FedProtoRounds(recording, engine, spec, {"lam": "lambda"}, fixed).replay()
