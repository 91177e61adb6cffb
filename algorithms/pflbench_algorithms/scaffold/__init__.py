"""SCAFFOLD: control variates that correct the drift of local steps.

Karimireddy, Kale, Mohri, Reddi, Stich, Suresh: SCAFFOLD: Stochastic Controlled Averaging for
Federated Learning, ICML 2020, arXiv 1910.06378, Algorithm 1 with option II.
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
class Scaffold:
    """Parameters of SCAFFOLD."""

    server_lr: float = param(
        1.0,
        "η_g: how far the server goes along the mean change",
        gt=0,
        tune=(0.1, 2.0),
        log=True,
        source="paper, section 7",
    )
    weighting: Literal["samples", "uniform"] = param(
        "uniform", WEIGHTING, source="paper, Algorithm 1"
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of SCAFFOLD."""
    return [
        AlgorithmSpec(
            name="scaffold",
            summary="FedAvg whose local steps are corrected by control variates",
            client="pflbench_algorithms.scaffold.client:ScaffoldClient",
            server="pflbench_algorithms.scaffold.server:ScaffoldServer",
            parameters=Scaffold,
            paper="Karimireddy et al., ICML 2020, arXiv 1910.06378",
            note="pflbench_algorithms.scaffold:note.md",
            golden="pflbench_algorithms.scaffold.golden:replay",
        )
    ]
