"""FEDORA: adaptive parameter propagation and selective regularisation.

Wu, Bao, Ainsworth, He: Personalized Federated Learning with Parameter Propagation, KDD 2023,
doi 10.1145/3580305.3599464.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pflbench.isolation import Guard
from pflbench.schema.error_text import named
from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.parameters import param
from pflbench.schema.settings import plugin_of
from pflbench.schema.specs import AlgorithmSpec, SimilaritySpec, resolve

if TYPE_CHECKING:
    from pflbench.method import Similarity

_HERE = "pflbench_algorithms.fedora.similarities"


@dataclass(frozen=True)
class Fedora:
    """Parameters of FEDORA."""

    alpha: float = param(
        0.8,
        "how far parameters propagate over the similarity graph",
        ge=0,
        lt=1,
        tune=(0.1, 0.99),
        source="official code",
    )
    top_k: int = param(
        2, "neighbours kept for each client", ge=1, tune=(1, 10), source="official code"
    )
    subspace_dim: int = param(
        1,
        "dimension q of the subspace that stands for a client's data",
        ge=1,
        source="official code",
    )
    temperature: float = param(
        10.0,
        "τ: how sharply similarity decides between neighbours",
        gt=0,
        tune=(1, 30),
        source="official code",
    )
    similarity: str = param(
        "subspace",
        "how the likeness of two clients is measured",
        shelf="similarities",
        since="0.1",
        source="official code",
    )


def measure_of(parameters: Fedora) -> Similarity:
    """Return the similarity measure that the parameters name.

    Raises
    ------
    pflbench.errors.InputError
        No plugin has it, or its code cannot be imported.
    """
    spec = plugin_of(parameters.similarity, "similarities").spec
    from pflbench.method.guarded_similarity import GuardedSimilarity  # listing needs no PyTorch

    make = resolve(spec.make, owner=f"similarity {spec.name!r}")
    guard = Guard(partial(named, spec))
    with guard("__init__"):
        made: Similarity = make(parameters.subspace_dim)
    return GuardedSimilarity(made, guard)


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of FEDORA."""
    return [
        AlgorithmSpec(
            name="fedora",
            summary="Parameters propagate between related clients; each takes them if they help",
            client="pflbench_algorithms.fedora.client:FedoraClient",
            server="pflbench_algorithms.fedora.server:FedoraServer",
            parameters=Fedora,
            paper="Wu, Bao, Ainsworth, He, KDD 2023, doi 10.1145/3580305.3599464",
            note="pflbench_algorithms.fedora:note.md",
            golden="pflbench_algorithms.fedora.golden:replay",
        )
    ]


@hookimpl
def pflbench_similarities() -> Sequence[SimilaritySpec]:
    """Return FEDORA's built-in measures."""
    return [
        SimilaritySpec(
            "subspace",
            "The angles between the dominant directions of two clients' samples and labels",
            make=f"{_HERE}:Subspace",
            reveals="(d + C)·q numbers: combinations of the client's samples. With q = 1 on images "
            "that is much like the client's mean image with its label shares.",
        ),
        SimilaritySpec(
            "label-distribution",
            "How far the shares of the classes overlap",
            make=f"{_HERE}:LabelDistribution",
            reveals="C numbers: which share of the client's samples each class has.",
        ),
        SimilaritySpec(
            "mean-covariance",
            "The Fréchet distance between normal distributions of samples and labels",
            make=f"{_HERE}:MeanCovariance",
            reveals="(d + C)·(q + 1) numbers: the mean image itself, the label shares, and the q "
            "directions in which samples differ most.",
        ),
        SimilaritySpec(
            "gradient",
            "The angle between the gradients of two clients at the initial model",
            make=f"{_HERE}:Gradient",
            reveals="P numbers, as many as a model has: the direction of a gradient, from which "
            "samples of a small client can be reconstructed.",
        ),
        SimilaritySpec(
            "random",
            "Baseline: random similarity",
            make=f"{_HERE}:Random",
            reveals="Nothing: one number, 1, which only shows that the client exists.",
        ),
        SimilaritySpec(
            "truth",
            "Baseline: the scenario's true similarity of clients",
            make=f"{_HERE}:Truth",
            reveals="Nothing: one number, 1. The server uses the truth, which no real server has.",
            needs_truth=True,
        ),
    ]
