"""A network inferred from the names and sizes of its parameters.

Recorded runs hold a network's parameters, not its code. Perceptrons (linear layers with ReLU
between) and LeNet-style networks (convolutions without padding, each followed by ReLU and 2×2
max pooling, then such a perceptron) follow from the sizes alone; a network that normalises
follows from a list of its layers in addition.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt, prod

from torch import nn

from pflbench.errors import InputError
from pflbench.method import Layout

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Inferred:
    """A network and how its parameters are called.

    Attributes
    ----------
    module
        The network.
    names
        The given names in the order of the module's columns (`Layout`).
    head
        Name prefix, in the module, of the last layer's parameters.
    """

    module: nn.Module
    names: tuple[str, ...]
    head: str


def listed(
    layers: Sequence[str], tensors: Mapping[str, Shape], *, momentum: float, eps: float
) -> Inferred:
    """Return the network of these layers, one after the other.

    Parameters
    ----------
    layers
        Their names in order. Those without tensors are "relu"; those with running statistics are
        batch normalisation; the others are linear, with the inputs flattened before the first.
    tensors
        Name to shape: `{layer}.weight`, `{layer}.bias`, `{layer}.running_mean`, ...
    momentum, eps
        Of batch normalisation.

    Raises
    ------
    InputError
        A layer is of no such kind, or a tensor belongs to none.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    given = {}
    for i, layer in enumerate(layers):
        shape = tensors.get(f"{layer}.weight")
        if shape is None and layer.startswith("relu"):
            modules[f"relu{i}"] = nn.ReLU()
            continue
        if shape is not None and len(shape) == 1 and f"{layer}.running_mean" in tensors:
            made: nn.Module = nn.BatchNorm1d(shape[0], eps, momentum)
        elif shape is not None and len(shape) == 2:
            made = nn.Linear(shape[1], shape[0])
        else:
            raise InputError(
                f"The layer {layer!r} is not known: expected relu, a linear layer or batch "
                "normalisation."
            )
        modules[f"layer{i}"] = made
        given[f"layer{i}"] = layer
    network = nn.Sequential(modules)
    own = Layout.of(network)
    names = tuple(
        f"{given[layer]}.{part}" for layer, _, part in (n.rpartition(".") for n in own.names)
    )
    if set(names) != set(tensors):
        odd = sorted(set(names) ^ set(tensors))[0]
        raise InputError(f"The layers {', '.join(layers)} and the tensors differ in {odd!r}.")
    last = [name for name in given if isinstance(modules[name], nn.Linear)][-1:]
    return Inferred(network, names, f"{last[0]}." if last else "")


@dataclass(frozen=True)
class _Layer:
    """A layer's weight and bias: their sizes, and the weight's shape if it is known."""

    name: str
    size: int
    out: int
    shape: Shape | None


def infer(parameters: Mapping[str, Shape | int], input_shape: Shape, classes: int) -> Inferred:
    """Return the network that has these parameters.

    Parameters
    ----------
    parameters
        `{layer}.weight` and `{layer}.bias` to its shape, or to its number of elements. Layers
        are taken in the order given where that is possible.
    input_shape
        Shape of one sample.
    classes
        Outputs of the network.

    Raises
    ------
    InputError
        The parameters are not those of a perceptron or a LeNet on such samples.
    """
    order = _chain(_layers(parameters), input_shape, classes)
    if order is None:
        shape = "×".join(map(str, input_shape))
        raise InputError(
            f"The parameters {', '.join(parameters)} are not those of a perceptron or a LeNet "
            f"that takes samples of {shape} and has {classes} classes."
        )
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    flat = False
    for i, (_, module) in enumerate(order):
        linear = isinstance(module, nn.Linear)
        if linear and not flat:
            modules["flatten"], flat = nn.Flatten(), True
        modules[f"layer{i}"] = module
        if i < len(order) - 1:
            modules[f"relu{i}"] = nn.ReLU()
        if not linear:
            modules[f"pool{i}"] = nn.MaxPool2d(2)
    names = [f"{layer.name}.{part}" for layer, _ in order for part in ("weight", "bias")]
    return Inferred(nn.Sequential(modules), tuple(names), f"layer{len(order) - 1}.")


def _layers(parameters: Mapping[str, Shape | int]) -> list[_Layer]:
    sizes = {n: s if isinstance(s, int) else prod(s) for n, s in parameters.items()}
    layers = []
    for name, shape in parameters.items():
        layer, _, part = name.rpartition(".")
        other = f"{layer}.{'bias' if part == 'weight' else 'weight'}"
        if part not in ("weight", "bias") or other not in parameters:
            raise InputError(
                f"The parameter {name!r} has no partner {other!r}: expected a weight and a bias "
                "for every layer."
            )
        if part == "weight":
            known = None if isinstance(shape, int) else tuple(shape)
            layers.append(_Layer(layer, sizes[name], sizes[other], known))
    return layers


def _chain(
    layers: Sequence[_Layer], shape: Shape, classes: int
) -> list[tuple[_Layer, nn.Module]] | None:
    """Return the layers in an order in which each fits what comes before, or None."""
    if not layers:
        return [] if shape == (classes,) else None
    tried = set()
    for i, layer in enumerate(layers):
        alike = (layer.size, layer.out, layer.shape)
        if alike in tried:
            continue
        tried.add(alike)
        for module, out in _readings(layer, shape):
            rest = _chain([*layers[:i], *layers[i + 1 :]], out, classes)
            if rest is not None:
                return [(layer, module), *rest]
    return None


def _readings(layer: _Layer, shape: Shape) -> list[tuple[nn.Module, Shape]]:
    """Return what the layer can be on inputs of a shape, with the shape of its outputs."""
    found: list[tuple[nn.Module, Shape]] = []
    width = prod(shape)
    if layer.size == layer.out * width and layer.shape in (None, (layer.out, width)):
        found.append((nn.Linear(width, layer.out), (layer.out,)))
    if len(shape) == 3 and layer.out > 0 and layer.size % (layer.out * shape[0]) == 0:
        k = isqrt(layer.size // (layer.out * shape[0]))
        kernel = (layer.out, shape[0], k, k)
        sides = [(side - k + 1) // 2 for side in shape[1:]]
        if prod(kernel) == layer.size and layer.shape in (None, kernel) and min(sides) > 0:
            found.append((nn.Conv2d(shape[0], layer.out, k), (layer.out, *sides)))
    return found
