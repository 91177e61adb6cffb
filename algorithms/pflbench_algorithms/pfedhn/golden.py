"""Replays recorded runs of the official pFedHN code (github.com/AvivSham/pFedHN)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from pflbench.conformance.golden import Differences, Recording
from pflbench.engine import Simulation, choose_engine
from pflbench.models.inferred import infer
from pflbench_algorithms.pfedhn import PFedHN, pflbench_algorithms
from pflbench_algorithms.pfedhn.network import Hypernetwork
from pflbench_algorithms.pfedhn.server import PFedHNServer

_INIT, _FINAL = "init/hypernetwork/", "final/hypernetwork/"

_KEYS = {
    "lr": "server_lr",
    "embedding_lr": "embedding_lr",
    "momentum": "server_momentum",
    "weight_decay": "server_weight_decay",
    "clip_norm": "clip_norm",
}
"""Parameter to config key; the network's sizes follow from the recorded arrays."""


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest absolute difference of every quantity.

    Parameters
    ----------
    recording
        In addition to the common arrays: `cohort` [rounds, clients in a round], and in
        `init/hypernetwork/` and `final/hypernetwork/` the arrays `embeddings`,
        `mlp.{i}.{weight,bias}` and `head.{target parameter}.{weight,bias}`.
    engine
        "auto", "stacked" or "sequential".

    Raises
    ------
    InputError
        The recording is incomplete, or not pFedHN's.
    """
    federation = recording.federation
    heads = f"{_INIT}head."
    targets = {
        n.removeprefix(heads).removesuffix(".bias"): recording.array(n).size
        for n in recording.names(heads)
        if n.endswith(".bias")
    }
    if not targets:
        raise recording.error("it lacks the heads, 'init/hypernetwork/head.{parameter}.bias'")
    target = recording.attributed(
        lambda: infer(targets, federation.input_shape, federation.classes)
    )
    recording.ignored("n_kernels", "hidden", "model")  # widths, known from the heads' sizes

    simulation = Simulation(
        pflbench_algorithms()[0],
        _parameters(recording),
        federation,
        target.module,
        target.head,
        seed=0,
        optimiser=recording.sgd,
        budget=recording.budget,
        batches=recording.batches,
        engine=choose_engine(engine, target.module, torch.device("cpu")),
    )
    server = simulation.server
    assert isinstance(server, PFedHNServer)
    # The official code has a limit for each side; the method has one for both.
    limit = recording.parameters(PFedHN, {"clip_norm": "server_clip_norm"}, "pfedhn").clip_norm
    server.parameters = replace(server.parameters, clip_norm=limit)
    with torch.no_grad():
        for name, parameter in _named(server.network, target.names):
            parameter.copy_(recording.tensor(_INIT + name, parameter.shape))
    simulation.enrol()

    differences = Differences(recording)
    recording.array("cohort")
    for r, cohort in enumerate(recording.cohorts()):
        simulation.round(r, cohort)
        differences.note_evaluation(r, simulation.evaluate(r + 1)[0])
    for name, parameter in _named(server.network, target.names):
        recorded = recording.tensor(_FINAL + name, parameter.shape)
        differences.note(_FINAL + name.partition(".")[0], parameter, recorded)
    return differences.largest


def _parameters(recording: Recording) -> PFedHN:
    """Return the parameters: rates from the config, sizes from the arrays."""
    embeddings = recording.array(f"{_INIT}embeddings")
    weights = [n for n in recording.names(f"{_INIT}mlp.") if n.endswith(".weight")]
    if embeddings.ndim != 2 or not weights or recording.array(weights[0]).ndim != 2:
        raise recording.error("its hypernetwork has no embeddings [K, E] or no linear layers")
    sizes = {
        "embedding_dim": embeddings.shape[1],
        "hidden_dim": len(recording.array(weights[0])),
        "n_hidden": len(weights) - 1,
    }
    recording.implied(**sizes, spectral_norm=False)
    return replace(
        recording.parameters(PFedHN, _KEYS, "pfedhn"),
        embedding_dim=sizes["embedding_dim"],
        hidden=sizes["hidden_dim"],
        n_hidden=sizes["n_hidden"],
    )


def _named(network: Hypernetwork, targets: tuple[str, ...]) -> Iterator[tuple[str, Tensor]]:
    """Yield the hypernetwork's parameters with their recorded names."""
    yield "embeddings", network.embeddings.weight
    for name, parameter in network.mlp.named_parameters():
        yield f"mlp.{name}", parameter
    for target, head in zip(targets, network.heads, strict=True):
        for name, parameter in head.named_parameters():
            yield f"head.{target}.{name}", parameter
