"""pFedMe: personal models are the Moreau envelopes' minimisers around a global one.

Dinh, Tran, Nguyen: Personalized Federated Learning with Moreau Envelopes, NeurIPS 2020,
arXiv 2006.08848, Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.parameters import param
from pflbench.schema.specs import AlgorithmSpec
from pflbench_algorithms.weighting import WEIGHTING


@dataclass(frozen=True)
class PFedMe:
    """Parameters of pFedMe."""

    lam: float = param(
        15.0,
        "λ: how strongly the personal model is held near the local one",
        gt=0,
        tune=(0.1, 30.0),
        log=True,
        source="official code, its README",
    )
    eta: float = param(
        0.005,
        "η: the local model goes ηλ of the way to the personal one in each step",
        gt=0,
        tune=(0.001, 0.1),
        log=True,
        source="official code, its README",
    )
    inner_steps: int = param(
        5,
        "K: gradients for the personal model on each batch",
        ge=1,
        source="official code, its README",
    )
    beta: float = param(
        1.0,
        "β: how far the server goes to the cohort's mean",
        gt=0,
        tune=(0.5, 2.0),
        source="official code, its README",
    )
    weighting: Literal["samples", "uniform"] = param(
        "uniform", WEIGHTING, source="paper, Algorithm 1"
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of pFedMe."""
    return [
        AlgorithmSpec(
            name="pfedme",
            summary="Personal models near a local one, which follows them and is averaged",
            client="pflbench_algorithms.pfedme.client:PFedMeClient",
            server="pflbench_algorithms.pfedme.server:PFedMeServer",
            parameters=PFedMe,
            paper="Dinh, Tran, Nguyen, NeurIPS 2020, arXiv 2006.08848",
            note="pflbench_algorithms.pfedme:note.md",
            golden="pflbench_algorithms.pfedme.golden:replay",
        )
    ]
