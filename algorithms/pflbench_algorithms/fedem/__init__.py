"""FedEM: every client's data are a mixture of the same few distributions.

Marfoq, Neglia, Bellet, Kameni, Vidal: Federated Multi-Task Learning under a Mixture of
Distributions, NeurIPS 2021, arXiv 2108.10252, Algorithm 1.
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
class FedEM:
    """Parameters of FedEM."""

    components: int = param(
        3, "M: number of component models", ge=1, tune=(2, 5), source="paper, section 4"
    )
    absent: Literal["averaged", "left-out"] = param(
        "averaged",
        "clients outside the cohort: averaged with the components as they were, or left out",
        source="official code",
    )
    weighting: Literal["samples", "uniform"] = param(
        "samples", WEIGHTING, source="paper, Algorithm 1"
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of FedEM."""
    return [
        AlgorithmSpec(
            name="fedem",
            summary="A few shared models; each client mixes their predictions in its own way",
            client="pflbench_algorithms.fedem.client:FedEMClient",
            server="pflbench_algorithms.fedem.server:FedEMServer",
            parameters=FedEM,
            paper="Marfoq et al., NeurIPS 2021, arXiv 2108.10252",
            note="pflbench_algorithms.fedem:note.md",
            golden="pflbench_algorithms.fedem.golden:replay",
        )
    ]
