"""FedGELA: the classifier is a fixed simplex, whose vectors each client scales by its classes.

Fan, Zhang, Yao, Han, Zhang, Wang: Federated Learning with Bilateral Curation for Partially
Class-Disjoint Data, NeurIPS 2023, arXiv 2405.18972.
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
class FedGELA:
    """Parameters of FedGELA."""

    scale: float = param(
        5.0,
        "√E_W: length of the simplex's vectors",
        gt=0,
        tune=(0.5, 100.0),
        log=True,
        source="authors' code: a temperature of 0.2",
    )
    weighting: Literal["samples", "uniform"] = param("samples", WEIGHTING, source="paper")


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of FedGELA."""
    return [
        AlgorithmSpec(
            name="fedgela",
            summary="The classifier is a fixed simplex, scaled by each client's shares of classes",
            client="pflbench_algorithms.fedgela.client:FedGELAClient",
            server="pflbench_algorithms.weighted_server:WeightedServer",
            parameters=FedGELA,
            paper="Fan et al., NeurIPS 2023, arXiv 2405.18972",
            note="pflbench_algorithms.fedgela:note.md",
        )
    ]
