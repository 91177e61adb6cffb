"""MOON: FedAvg whose features are drawn to the global model's, and away from older ones.

Li, He, Song: Model-Contrastive Federated Learning, CVPR 2021, arXiv 2103.16257.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.parameters import param
from pflbench.schema.specs import AlgorithmSpec


@dataclass(frozen=True)
class Moon:
    """Parameters of MOON."""

    mu: float = param(
        1.0,
        "μ: weight of the model-contrastive loss",
        ge=0,
        tune=(0.001, 10.0),
        log=True,
        source="official code",
    )
    temperature: float = param(
        0.5,
        "τ: temperature of the contrast",
        gt=0,
        tune=(0.1, 1.0),
        log=True,
        source="paper, section 4.1",
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of MOON."""
    return [
        AlgorithmSpec(
            name="moon",
            summary="FedAvg whose features are drawn to the global model's, not to older ones",
            client="pflbench_algorithms.moon.client:MoonClient",
            server="pflbench.method:AveragingServer",
            parameters=Moon,
            paper="Li, He, Song, CVPR 2021, arXiv 2103.16257",
            note="pflbench_algorithms.moon:note.md",
            golden="pflbench_algorithms.moon.golden:replay",
        )
    ]
