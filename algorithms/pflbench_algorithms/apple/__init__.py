"""APPLE: a client learns how much of every client's core model is in its personal one.

Luo, Wu: Adapt to Adaptation: Learning Personalization for Cross-Silo Federated Learning, IJCAI
2022, arXiv 2110.08394.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.parameters import param
from pflbench.schema.specs import AlgorithmSpec


@dataclass(frozen=True)
class APPLE:
    """Parameters of APPLE."""

    p_lr: float = param(
        0.001,
        "η₂: learning rate of p_i, the shares of all core models",
        ge=0,
        tune=(1e-4, 0.1),
        log=True,
        source="authors' code",
    )
    mu: float = param(
        0.1,
        "μ: how strongly p_i is held near the shares of samples, in the first round",
        ge=0,
        tune=(1e-3, 1.0),
        log=True,
        source="authors' code",
    )
    horizon: int = param(
        16,
        "L: rounds after which p_i is free",
        ge=1,
        tune=(1, 100),
        source="authors' code: a tenth of 160 rounds",
    )
    decay: Literal["exponential", "cosine"] = param(
        "exponential", "how the strength falls until then", source="authors' code"
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the record of APPLE."""
    return [
        AlgorithmSpec(
            name="apple",
            summary="Each client learns how much of every client's core model it takes",
            client="pflbench_algorithms.apple.client:APPLEClient",
            server="pflbench_algorithms.apple.server:APPLEServer",
            parameters=APPLE,
            paper="Luo, Wu, IJCAI 2022, arXiv 2110.08394",
            note="pflbench_algorithms.apple:note.md",
        )
    ]
