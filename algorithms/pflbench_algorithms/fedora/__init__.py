"""FEDORA: adaptive parameter propagation and selective regularisation.

Wu, Bao, Ainsworth, He: Personalized Federated Learning with Parameter Propagation, KDD 2023,
doi 10.1145/3580305.3599464.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pflbench.hookspecs import hookimpl
from pflbench.parameters import Param
from pflbench.specs import AlgorithmSpec


@dataclass(frozen=True)
class Fedora:
    """Parameters of FEDORA."""

    alpha: Annotated[
        float,
        Param("how far parameters propagate over the similarity graph", ge=0, lt=1,
              tune=(0.1, 0.99), source="official code"),
    ] = 0.8  # fmt: skip
    top_k: Annotated[
        int, Param("neighbours kept for each client", ge=1, tune=(1, 10), source="official code")
    ] = 2
    subspace_dim: Annotated[
        int,
        Param("dimension q of the subspace that stands for a client's data", ge=1,
              source="official code"),
    ] = 1  # fmt: skip
    temperature: Annotated[
        float,
        Param("τ: how sharply similarity decides between neighbours", gt=0,
              tune=(1, 30), source="official code"),
    ] = 10.0  # fmt: skip


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
