"""The layer of a network in which a probe found a violation, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pflbench.engine.drawing import Generators

Call = Callable[[], Any]
"""Calls the network."""


def drawing_layer(module: nn.Module, call: Call, device: torch.device) -> str:
    """Return the innermost layer that draws random numbers in a call."""
    entered: list[Generators] = []
    found: list[nn.Module] = []

    def enter(layer: nn.Module, _: Any) -> None:
        entered.append(Generators.now(device))

    def leave(layer: nn.Module, _: Any, __: Any) -> None:
        if entered.pop().moved():
            found.append(layer)

    with _hooked(module, enter, leave):
        call()
    return _words(module, found[0] if found else module)


def unlike_layer(
    module: nn.Module,
    call: Call,
    other: Call,
    differ: Callable[[Tensor, Tensor], bool],
    *,
    turned: bool = False,
) -> str:
    """Return the first layer with different outputs for equal inputs in two calls.

    Parameters
    ----------
    differ
        Whether two tensors differ.
    turned
        Whether the samples of the other call are in the reverse order.
    """
    passed: list[tuple[nn.Module, Any, Any]] = []

    def leave(layer: nn.Module, inputs: Any, out: Any) -> None:
        first = inputs[0] if inputs else None
        passed.append((layer, first.clone() if isinstance(first, Tensor) else None, out))

    traces = []
    with _hooked(module, lambda layer, inputs: None, leave):
        for one in (call, other):
            passed = []
            one()
            traces.append(passed)
    for (layer, a, out), (_, b, unlike) in zip(*traces, strict=False):
        if not all(isinstance(t, Tensor) and t.ndim and len(t) for t in (a, b, out, unlike)):
            continue
        if turned:
            b, unlike = b.flip(0), unlike.flip(0)
        n = min(len(out), len(unlike))
        if not differ(b[:n], a[:n]) and differ(unlike[:n], out[:n]):
            return _words(module, layer)
    return _words(module, module)


def _words(module: nn.Module, layer: nn.Module) -> str:
    if layer is module:
        return "its own forward"
    path = next(name for name, one in module.named_modules() if one is layer)
    return f"the layer {path} ({type(layer).__name__})"


@contextmanager
def _hooked(
    module: nn.Module, enter: Callable[..., None], leave: Callable[..., None]
) -> Iterator[None]:
    """Call `enter` before and `leave` after each layer."""
    handles = []
    for layer in module.modules():
        handles += [layer.register_forward_pre_hook(enter), layer.register_forward_hook(leave)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
