"""The built-in networks as PyTorch modules, sized from the data's shape and classes."""

from __future__ import annotations

from collections import OrderedDict
from math import prod

from torch import nn

from pflbench.models import LeNet, Mlp
from pflbench.models.sample_shapes import check_image


def build_mlp(parameters: Mlp, input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """Return inputs-hidden-…-hidden-classes with ReLU between."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    width = prod(input_shape)
    for i in range(parameters.layers):
        name = "layer_input" if i == 0 else f"layer_hidden{i if i > 1 else ''}"
        layers[name] = nn.Linear(width, parameters.hidden)
        layers[f"relu{i}"] = nn.ReLU()
        width = parameters.hidden
    layers["layer_output"] = nn.Linear(width, classes)
    return nn.Sequential(layers)


def build_lenet(parameters: LeNet, input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """Return the LeNet-style network that the PFL literature uses for 32×32 images.

    Raises
    ------
    InputError
        The samples are not images [channels, height, width] of at least 16×16.
    """
    check_image("lenet", input_shape, 16)
    channels, height, width = input_shape
    k = parameters.kernels
    flat = 2 * k * _after_two_blocks(height) * _after_two_blocks(width)
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, k, 5),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(k, 2 * k, 5),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(flat, 120),
            relu3=nn.ReLU(),
            fc2=nn.Linear(120, 84),
            relu4=nn.ReLU(),
            fc3=nn.Linear(84, classes),
        )
    )


def _after_two_blocks(side: int) -> int:
    """Return an image's side after two rounds of 5×5 convolution and 2×2 pooling."""
    return ((side - 4) // 2 - 4) // 2
