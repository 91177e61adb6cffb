"""pFedHN: a hypernetwork writes every client's model.

Shamsian, Navon, Fetaya, Chechik: Personalized Federated Learning using Hypernetworks, ICML 2021,
arXiv 2103.04628; and its variant with a personal classifier, pFedHN-PC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.parameters import param
from pflbench.schema.specs import AlgorithmSpec


@dataclass(frozen=True)
class PFedHN:
    """Parameters of pFedHN; the local ones (lr, steps, ...) are the scenario's."""

    lr: float = param(
        1e-2,
        "learning rate of the hypernetwork",
        gt=0,
        tune=(1e-3, 1e-1),
        log=True,
        source="official code",
    )
    embedding_lr: float | None = param(
        None, "learning rate of the embeddings; none: lr", gt=0, source="official code"
    )
    momentum: float = param(
        0.9, "momentum of the hypernetwork's SGD", ge=0, lt=1, source="official code"
    )
    weight_decay: float = param(
        1e-3, "weight decay of the hypernetwork's SGD", ge=0, source="official code"
    )
    clip_norm: float = param(
        50.0, "largest gradient norm, of clients and server", gt=0, source="official code"
    )
    embedding_dim: int | None = param(
        None,
        "numbers in a client's embedding; none: 1 + N/4, floored",
        ge=1,
        source="official code",
    )
    hidden: int = param(
        100, "units of the hypernetwork's hidden layers", ge=1, source="official code"
    )
    n_hidden: int = param(
        3, "hidden-to-hidden layers after the first", ge=0, tune=(1, 5), source="official code"
    )
    spectral_norm: bool = param(
        False, "spectral normalisation of every linear layer", source="official code"
    )


@dataclass(frozen=True)
class PFedHNPC(PFedHN):
    """Parameters of pFedHN-PC: the same with a larger learning rate."""

    lr: float = param(
        5e-2,
        "learning rate of the hypernetwork",
        gt=0,
        tune=(1e-3, 1e-1),
        log=True,
        source="paper, appendix",
    )


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
