"""The network of a run, built with its initial weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pflbench.engine.contents import Contents, difference
from pflbench.engine.drawing import drawing_weights
from pflbench.errors import InputError, PflbenchError
from pflbench.method import Layout

Build = Callable[[Any, tuple[int, ...], int], nn.Module]
"""(parameters, input_shape, classes) to a network, as `ModelSpec.build` names it."""

_LONGEST = 120
"""Characters of an unexpected error that are shown."""


def build_network(
    build: Build, parameters: Any, shape: tuple[int, ...], classes: int, *, seed: int, name: str
) -> nn.Module:
    """Build a network whose weights follow from the seed.

    It is built twice and compared: draws outside the shared generators would not be
    reproducible.

    Parameters
    ----------
    build, parameters, shape, classes
        The function that builds it, and its arguments.
    name
        How messages call the model.

    Raises
    ------
    InputError
        It cannot be built, is no network that rows can carry, or differs from one time to the next.
    """
    first, again = (_built(build, parameters, shape, classes, seed, name) for _ in range(2))
    Layout.of(first, name=name)
    memory = {p.untyped_storage().data_ptr() for p in first.parameters() if _has_values(p)}
    shared = next(
        (
            n
            for n, p in again.named_parameters()
            if _has_values(p) and p.numel() and p.untyped_storage().data_ptr() in memory
        ),
        None,
    )
    if first is again or shared is not None:
        what = "network" if first is again else f"parameter {shared!r}"
        raise InputError(
            f"The build of the model {name} returned the same {what} twice: expected a new network "
            "at each call, such as a copy.deepcopy of a loaded one."
        )
    if (unlike := difference(Contents.of(first), Contents.of(again))) is not None:
        raise InputError(
            f"The model {name} is not the same when it is built twice with one seed ({unlike}): "
            "expected it to draw from torch's, numpy's or Python's shared generator, which the "
            "run seeds, or from none."
        )
    return first


def own_weights(module: nn.Module, layout: Layout, dtype: torch.dtype, *, name: str = "") -> Tensor:
    """Return the initial row [P] that all methods and clients share: the network's own weights.

    Raises
    ------
    InputError
        None is trained, or one is more precise than the run, which computes in `dtype`.
    """
    who = f"The model {name or type(module).__name__}"
    if not layout.names:
        raise InputError(f"{who} has no parameters that are trained: expected at least one.")
    for parameter, p in module.named_parameters():
        if torch.promote_types(p.dtype, dtype) != dtype:
            raise InputError(
                f"{who} has a parameter {parameter!r} of type float64 for a run in float32: "
                "expected float32, or the precision float64."
            )
    own = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    values = [own[name].detach().reshape(-1) for name in layout.names]
    return torch.cat([value.to(values[0].dtype) for value in values]).clone()


def _built(
    build: Build, parameters: Any, shape: tuple[int, ...], classes: int, seed: int, name: str
) -> nn.Module:
    samples = "×".join(map(str, shape))
    try:
        with drawing_weights(seed):
            module = build(parameters, shape, classes)
    except PflbenchError:
        raise
    except Exception as error:  # a plugin's code: anything can be raised
        raise InputError(
            f"The model {name} cannot be built for samples of {samples} in {classes} classes: "
            f"{one_line(error)}"
        ) from error
    if not isinstance(module, nn.Module):
        raise InputError(
            f"The build of the model {name} returned {type(module).__name__}: expected a "
            "torch.nn.Module."
        )
    for parameter, p in module.named_parameters():
        if p.device.type not in ("cpu", "meta"):
            raise InputError(
                f"The model {name} has a parameter {parameter!r} on the device {str(p.device)!r}: "
                "expected it on 'cpu'. A run moves it to its own device."
            )
    return module


def one_line(error: Exception) -> str:
    """Return an unexpected error in one line."""
    line = str(error).strip().partition("\n")[0]
    if len(line) > _LONGEST:
        line = line[: _LONGEST - 1].rstrip() + "…"
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def _has_values(p: Tensor) -> bool:
    return not p.is_meta and not isinstance(p, nn.parameter.UninitializedParameter)
