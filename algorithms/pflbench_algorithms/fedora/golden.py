"""Replays recorded runs of the official FEDORA code (github.com/junwu6/FEDORA)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from pflbench.conformance.golden import Differences, Recording
from pflbench.engine import Simulation, choose_engine
from pflbench.models.inferred import infer
from pflbench_algorithms.fedora import Fedora, pflbench_algorithms
from pflbench_algorithms.fedora.server import FedoraServer


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest absolute difference of every quantity.

    Parameters
    ----------
    recording
        In addition to the common arrays: `init/{parameter}`, `similarity_normalized`,
        `propagation`, `lambda`, `round{r}/received/{parameter}` and `round{r}/local/{parameter}`.
    engine
        "auto", "stacked" or "sequential".

    Raises
    ------
    InputError
        The recording is incomplete, or not FEDORA's.
    """
    K, R = recording.clients, recording.rounds
    shapes = {n.removeprefix("init/"): recording.array(n).shape for n in recording.names("init/")}
    if not shapes or any(n.startswith("hypernetwork/") for n in shapes):
        raise recording.error("it lacks the initial model, 'init/{parameter}'")
    federation = recording.federation
    network = recording.attributed(
        lambda: infer(shapes, federation.input_shape, federation.classes)
    )
    recording.ignored("hidden")  # a width, known from the parameters' shapes

    def rows(prefix: str) -> Tensor:
        """Return a recorded model of every client, [K, P]."""
        parts = [recording.tensor(f"{prefix}/{n}", (K, *shapes[n])) for n in network.names]
        return torch.cat([part.flatten(start_dim=1) for part in parts], dim=1)

    initial = torch.cat([recording.tensor(f"init/{n}").flatten() for n in network.names])
    keys = ("alpha", "top_k", "subspace_dim", "temperature")
    simulation = Simulation(
        pflbench_algorithms()[0],
        recording.parameters(Fedora, dict(zip(keys, keys, strict=True)), "fedora"),
        federation,
        network.module,
        network.head,
        seed=0,
        optimiser=recording.sgd,
        budget=recording.budget,
        initial=initial,
        batches=recording.batches,
        record=True,
        engine=choose_engine(engine, network.module, torch.device("cpu")),
    )
    simulation.enrol()
    server = simulation.server
    assert isinstance(server, FedoraServer)

    differences = Differences(recording)
    square = (K, K)
    differences.note(
        "similarity_normalized",
        server.S().to_dense(),
        recording.array("similarity_normalized", square),
    )
    differences.note("propagation", server.propagation(), recording.array("propagation", square))
    lam = recording.array("lambda", (R, K)).astype(np.float64)
    for r in range(R):
        report = simulation.round(r)
        differences.note("lambda", report.context["lam"], lam[r])
        differences.note("received", report.received["model"], rows(f"round{r}/received"))
        differences.note("local", simulation.personal(simulation.everyone), rows(f"round{r}/local"))
        differences.note_evaluation(r, simulation.evaluate(r + 1)[0])
    return differences.largest
