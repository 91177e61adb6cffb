"""pFedHN: a hypernetwork writes every client's model.

Shamsian, Navon, Fetaya, Chechik: Personalized Federated Learning using Hypernetworks, ICML 2021,
arXiv 2103.04628; and its variant with a personal classifier, pFedHN-PC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.parameters import Param
from pflbench.schema.specs import AlgorithmSpec


@dataclass(frozen=True)
class PFedHN:
    """Parameters of pFedHN; the local ones (lr, steps, ...) are the scenario's."""

    lr: Annotated[
        float,
        Param("learning rate of the hypernetwork", gt=0, tune=(1e-3, 1e-1), log=True,
              source="official code"),
    ] = 1e-2  # fmt: skip
    embedding_lr: Annotated[
        float | None,
        Param("learning rate of the embeddings; none: lr", gt=0, source="official code"),
    ] = None
    momentum: Annotated[
        float, Param("momentum of the hypernetwork's SGD", ge=0, lt=1, source="official code")
    ] = 0.9
    weight_decay: Annotated[
        float, Param("weight decay of the hypernetwork's SGD", ge=0, source="official code")
    ] = 1e-3
    clip_norm: Annotated[
        float, Param("largest gradient norm, of clients and server alike", gt=0,
                     source="official code")
    ] = 50.0  # fmt: skip
    embedding_dim: Annotated[
        int | None,
        Param("numbers in a client's embedding; none: 1 + N/4, floored", ge=1,
              source="official code"),
    ] = None  # fmt: skip
    hidden: Annotated[
        int, Param("units of the hypernetwork's hidden layers", ge=1, source="official code")
    ] = 100
    n_hidden: Annotated[
        int, Param("hidden-to-hidden layers after the first", ge=0, tune=(1, 5),
                   source="official code")
    ] = 3  # fmt: skip
    spectral_norm: Annotated[
        bool, Param("spectral normalisation of every linear layer", source="official code")
    ] = False


@dataclass(frozen=True)
class PFedHNPC(PFedHN):
    """Parameters of pFedHN-PC: the same with a larger learning rate."""

    lr: Annotated[
        float,
        Param("learning rate of the hypernetwork", gt=0, tune=(1e-3, 1e-1), log=True,
              source="paper, appendix"),
    ] = 5e-2  # fmt: skip


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the records of pFedHN and pFedHN-PC."""
    paper = "Shamsian, Navon, Fetaya, Chechik, ICML 2021, arXiv 2103.04628"
    return [
        AlgorithmSpec(
            name="pfedhn",
            summary="A hypernetwork at the server writes every client's model",
            client="pflbench_algorithms.pfedhn.client:PFedHNClient",
            server="pflbench_algorithms.pfedhn.server:PFedHNServer",
            parameters=PFedHN,
            paper=paper,
            note="pflbench_algorithms.pfedhn:note.md",
            golden="pflbench_algorithms.pfedhn.golden:replay",
        ),
        AlgorithmSpec(
            name="pfedhn-pc",
            summary="pFedHN with a personal classifier: only the body comes from the hypernetwork",
            client="pflbench_algorithms.pfedhn.client:PFedHNPCClient",
            server="pflbench_algorithms.pfedhn.server:PFedHNPCServer",
            parameters=PFedHNPC,
            paper=paper,
            note="pflbench_algorithms.pfedhn:note.md",
        ),
    ]
