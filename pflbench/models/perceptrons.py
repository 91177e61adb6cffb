"""Networks of linear layers for samples of any shape: a linear classifier, and one for tables."""

from __future__ import annotations

from collections import OrderedDict
from math import prod

from torch import nn

from pflbench.models import Logistic, Tabular

_NORMS = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}


def build_logistic(parameters: Logistic, input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """Return one linear layer: with cross entropy, multinomial logistic regression."""
    return nn.Sequential(
        OrderedDict(flatten=nn.Flatten(), output=nn.Linear(prod(input_shape), classes))
    )


def build_tabular(parameters: Tabular, input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """Return a perceptron whose hidden layers are linear, normalisation, ReLU, dropout."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    width = prod(input_shape)
    for i in range(1, parameters.layers + 1):
        layers[f"hidden{i}"] = nn.Linear(width, parameters.hidden)
        width = parameters.hidden
        if parameters.norm != "none":
            layers[f"norm{i}"] = _NORMS[parameters.norm](width)
        layers[f"relu{i}"] = nn.ReLU()
        if parameters.dropout:
            layers[f"dropout{i}"] = nn.Dropout(parameters.dropout)
    layers["output"] = nn.Linear(width, classes)
    return nn.Sequential(layers)
