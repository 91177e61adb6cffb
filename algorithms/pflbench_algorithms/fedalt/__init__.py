"""FedAlt and FedSim: layers of each client's own, trained before the shared ones or with them.

Pillutla, Malik, Mohamed, Rabbat, Sanjabi, Xiao: Federated Learning with Partial Model
Personalization, ICML 2022, arXiv 2204.03809: Algorithm 1 with LocalAlt or LocalSim.
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
class FedSim:
    """Parameters of FedSim."""

    personal: str = param(
        "output",
        "v: the layers of each client's own: output, input, norm, or names joined by +",
        source="paper, section 4, which compares output, input and adapter layers",
    )
    rate: float = param(
        1.0,
        "γ_v / γ_u: learning rate of the personal layers, as a multiple of that of the shared ones",
        gt=0,
        tune=(0.1, 10.0),
        log=True,
        source="authors' code: one rate for both",
    )
    weighting: Literal["samples", "uniform"] = param(
        "uniform", WEIGHTING, source="paper, Algorithm 1"
    )


@dataclass(frozen=True)
class FedAlt(FedSim):
    """Parameters of FedAlt."""

    personal_epochs: int | None = param(
        None,
        "τ_v: local epochs of the personal layers; none: as long as the shared ones train",
        ge=1,
        source="authors' code: as many for both",
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the records of FedAlt and FedSim."""
    paper = "Pillutla, Malik, Mohamed, Rabbat, Sanjabi, Xiao, ICML 2022, arXiv 2204.03809"
    return [
        AlgorithmSpec(
            name="fedalt",
            summary="Clients train layers of their own first, then those that they share",
            client="pflbench_algorithms.fedalt.client:FedAltClient",
            server="pflbench_algorithms.weighted_server:WeightedServer",
            parameters=FedAlt,
            paper=paper,
            note="pflbench_algorithms.fedalt:note.md",
            golden="pflbench_algorithms.fedalt.golden:replay_fedalt",
        ),
        AlgorithmSpec(
            name="fedsim",
            summary="Clients train layers of their own together with those that they share",
            client="pflbench_algorithms.fedalt.client:FedSimClient",
            server="pflbench_algorithms.weighted_server:WeightedServer",
            parameters=FedSim,
            paper=paper,
            note="pflbench_algorithms.fedalt:note.md",
            golden="pflbench_algorithms.fedalt.golden:replay_fedsim",
        ),
    ]
