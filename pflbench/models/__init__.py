"""The built-in networks, registered like any other plugin's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

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


@dataclass(frozen=True)
class Logistic:
    """Multinomial logistic regression has no parameters."""


@dataclass(frozen=True)
class Cnn:
    """Parameters of the convolutional network of FedAvg's paper."""

    padding: bool = param(
        True,
        "whether convolutions keep an image's size; PFLlib's CNN has no padding",
        source="official code",
    )


@dataclass(frozen=True)
class ResNet8:
    """Parameters of the residual network with 8 layers."""

    norm: Literal["batch", "group"] = param("batch", "kind of normalisation", source="paper")
    groups: int = param(
        2, "groups of a group normalisation; it divides 16", ge=1, source="TensorFlow Federated"
    )


@dataclass(frozen=True)
class ResNet18:
    """Parameters of the residual network with 18 layers."""

    norm: Literal["batch", "group"] = param("batch", "kind of normalisation", source="paper")
    groups: int = param(
        2, "groups of a group normalisation; it divides 64", ge=1, source="TensorFlow Federated"
    )


@dataclass(frozen=True)
class Torchvision:
    """Which network of torchvision it is."""

    name: str = param("resnet50", "name of a classifier in torchvision.models")


@dataclass(frozen=True)
class HarCnn:
    """Parameters of the network for windows of sensor data."""

    kernel: int = param(9, "points in time that a convolution sees", ge=1, source="PFLlib")


@dataclass(frozen=True)
class Tabular:
    """Parameters of the perceptron for tables."""

    hidden: int = param(128, "units of each hidden layer", ge=1)
    layers: int = param(2, "hidden layers", ge=1)
    norm: Literal["batch", "layer", "none"] = param(
        "batch", "normalisation before each ReLU", source="Kadra et al. 2021"
    )
    dropout: float = param(
        0.1, "probability of dropout after each ReLU", ge=0, lt=1, source="Gorishniy et al. 2021"
    )


def _vocabulary() -> int | None:
    """Declare how many tokens a network knows."""
    help = "tokens that it knows; none for the largest token of the data and one"
    return param(None, help, ge=1)


@dataclass(frozen=True)
class CharLstm:
    """Parameters of the recurrent network for characters."""

    embedding: int = param(8, "numbers that stand for a character", ge=1, source="LEAF")
    hidden: int = param(256, "units of each LSTM layer", ge=1, source="LEAF")
    layers: int = param(2, "LSTM layers", ge=1, source="LEAF")
    vocabulary: int | None = _vocabulary()


@dataclass(frozen=True)
class TextCnn:
    """Parameters of the convolutional network for words."""

    embedding: int = param(300, "numbers that stand for a word", ge=1, source="paper")
    maps: int = param(100, "kernels of each window of 3, 4 and 5 words", ge=1, source="paper")
    dropout: float = param(
        0.5, "probability of dropout before the classes", ge=0, lt=1, source="paper"
    )
    vocabulary: int | None = _vocabulary()


@dataclass(frozen=True)
class Transformer:
    """Parameters of the small encoder."""

    width: int = param(64, "numbers that stand for a token", ge=1)
    heads: int = param(4, "heads of the attention; they divide the width", ge=1)
    layers: int = param(2, "encoder layers", ge=1)
    dropout: float = param(0.1, "probability of dropout", ge=0, lt=1, source="paper")
    vocabulary: int | None = _vocabulary()


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
        ModelSpec(
            name="logistic",
            summary="Multinomial logistic regression: inputs-classes",
            build="pflbench.models.perceptrons:build_logistic",
            head="output.",
            parameters=Logistic,
        ),
        ModelSpec(
            name="cnn",
            summary="5×5 convolutions of 32 and 64 kernels, 2×2 pooling, 512, classes "
            "(McMahan et al. 2017)",
            build="pflbench.models.convolutions:build_cnn",
            head="output.",
            parameters=Cnn,
        ),
        ModelSpec(
            name="resnet8",
            summary="Residual network for small images: one block each of 16, 32 and 64 channels "
            "(He et al. 2016)",
            build="pflbench.models.residual:build_resnet8",
            head="output.",
            parameters=ResNet8,
        ),
        ModelSpec(
            name="resnet18",
            summary="Residual network for small images: two blocks each of 64 to 512 channels "
            "(He et al. 2016)",
            build="pflbench.models.residual:build_resnet18",
            head="output.",
            parameters=ResNet18,
        ),
        ModelSpec(
            name="torchvision",
            summary="A classifier of torchvision for larger images, with random weights",
            build="pflbench.models.from_torchvision:build_torchvision",
            head=None,
            parameters=Torchvision,
        ),
        ModelSpec(
            name="har-cnn",
            summary="Convolutions over time of 32 and 64 kernels, 1024, 512, classes "
            "(Zeng et al. 2014)",
            build="pflbench.models.convolutions:build_har_cnn",
            head="output.",
            parameters=HarCnn,
        ),
        ModelSpec(
            name="tabular",
            summary="Perceptron for tables, with normalisation and dropout (Gorishniy et al. 2021)",
            build="pflbench.models.perceptrons:build_tabular",
            head="output.",
            parameters=Tabular,
        ),
        ModelSpec(
            name="char-lstm",
            summary="Embedding of 8, two LSTM layers of 256, classes (LEAF, Caldas et al. 2018)",
            build="pflbench.models.recurrent:build_char_lstm",
            head="output.",
            parameters=CharLstm,
        ),
        ModelSpec(
            name="text-cnn",
            summary="Convolutions over 3, 4 and 5 words, the largest over time (Kim 2014)",
            build="pflbench.models.texts:build_text_cnn",
            head="output.",
            parameters=TextCnn,
        ),
        ModelSpec(
            name="transformer",
            summary="Small encoder over tokens (Vaswani et al. 2017)",
            build="pflbench.models.attention:build_transformer",
            head="output.",
            parameters=Transformer,
        ),
    ]
