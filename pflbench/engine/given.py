"""Classes and networks that are handed over as objects, without a plugin that names them."""

from __future__ import annotations

import copy
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Any

from torch import nn

from pflbench.engine.initial import Build
from pflbench.errors import InputError
from pflbench.method import Client, Layout, Server
from pflbench.schema.parameters import NoParameters, parse_parameters

Network = nn.Module | Callable[..., nn.Module]
"""A network, or a factory of a new one: called without arguments, or, if it needs two, with
`input_shape` (a tuple) and `classes`."""


def check_halves(client: object, server: object) -> None:
    """Check that a method's halves are classes of the kinds that they must be.

    Raises
    ------
    InputError
        One is not.
    """
    for name, given, base in (("client", client, Client), ("server", server, Server)):
        if not (isinstance(given, type) and issubclass(given, base)):
            raise InputError(
                f"{name} = {given!r} is not valid: expected a subclass of pflbench.{base.__name__}."
            )


def parameter_class(client: type[Client[Any]]) -> type:
    """Return the parameters that a client half says it has: `Mine` of `Client[Mine]`."""
    for cls in client.__mro__:
        for base in getattr(cls, "__orig_bases__", ()):
            origin = typing.get_origin(base)
            if isinstance(origin, type) and issubclass(origin, Client):
                (found,) = typing.get_args(base)[:1] or (None,)
                if isinstance(found, type) and is_dataclass(found):
                    return found
    return NoParameters


def parameters_of(client: type[Client[Any]], given: object) -> Any:
    """Return a method's parameters: the given instance, or one made from names and values.

    Raises
    ------
    InputError
        A name is unknown, or a value is not valid or missing.
    """
    if given is None or isinstance(given, Mapping):
        cls: type[Any] = parameter_class(client)
        return parse_parameters(cls, given or {}, owner=client.__name__)
    return given


def build_of(model: Network) -> Build:
    """Return a function that builds a network as a plugin's does.

    Raises
    ------
    InputError
        It is neither a network nor makes one.
    """
    if isinstance(model, nn.Module):
        return lambda parameters, shape, classes: copy.deepcopy(model)
    if not callable(model):
        raise InputError(
            f"model = {model!r} is not valid: expected a torch.nn.Module, or a function or class "
            "that makes one."
        )
    factory: Callable[..., nn.Module] = model
    if _takes(factory):
        return lambda parameters, shape, classes: factory()
    if _takes(factory, (), 0):
        return lambda parameters, shape, classes: factory(shape, classes)
    raise InputError(
        f"model = {model!r} needs other arguments: expected a function without any, or one of "
        "(input_shape, classes)."
    )


def head_of(module: nn.Module, named: str | None) -> str:
    """Return the name prefix of the classifier's parameters.

    If none is named, it is that of the last layer that is trained; "" for a network without layers.
    """
    if named is not None:
        return named
    trained = [name for name, p in module.named_parameters() if p.requires_grad]
    layer = trained[-1].rpartition(".")[0] if trained else ""
    return f"{layer}." if layer else ""


def check_head(layout: Layout, name: str) -> None:
    """Check that a head that is named has parameters that are trained.

    Raises
    ------
    InputError
        It has none.
    """
    if layout.head and not any(map(layout.in_head, layout.names)):
        raise InputError(
            f"The head {layout.head!r} of the model {name} is no prefix of its trained parameters "
            f"({', '.join(layout.names[: len(layout.names) - layout.buffers][-3:])})."
        )


def _takes(factory: Callable[..., Any], *arguments: object) -> bool:
    try:
        inspect.signature(factory).bind(*arguments)
    except (TypeError, ValueError):
        return False
    return True
