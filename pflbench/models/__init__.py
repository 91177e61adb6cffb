"""The built-in networks, brought in by the same door as anybody else's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.parameters import param
from pflbench.schema.specs import ModelSpec


@dataclass(frozen=True)
class Mlp:
    """Parameters of the multi-layer perceptron."""

    hidden: int = param(128, "units of each hidden layer", ge=1, source="official FEDORA code")
    layers: int = param(2, "hidden layers", ge=1, source="official FEDORA code")


@dataclass(frozen=True)
class LeNet:
    """Parameters of the LeNet-style convolutional network."""

    kernels: int = param(
        16,
        "kernels of the first convolution; the second has twice as many",
        ge=1,
        source="official pFedHN code",
    )


@hookimpl
def pflbench_models() -> Sequence[ModelSpec]:
    """Return the built-in networks."""
    return [
        ModelSpec(
            name="mlp",
            summary="Perceptron with ReLU: inputs-128-128-classes",
            build="pflbench.models.networks:build_mlp",
            head="layer_output.",
            parameters=Mlp,
        ),
        ModelSpec(
            name="lenet",
            summary="LeNet: 5×5 convolutions of 16 and 32 kernels, 2×2 pooling, 120, 84, classes",
            build="pflbench.models.networks:build_lenet",
            head="fc3.",
            parameters=LeNet,
        ),
    ]
