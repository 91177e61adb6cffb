"""Snapshot and restore a simulation's mutable state, for checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from pflbench.engine.crossing import Crossing, named_tensors
from pflbench.method import RowStore, Server

_CLIENT, _SERVER = "client/", "server/"

_SMALL_PART = 2**26
"""Bytes up to which parts of a checkpoint are put together."""


def whole(
    server: Server[Any], states: Mapping[str, RowStore], crossing: Crossing
) -> dict[str, Tensor]:
    """Return a copy of the server's and the clients' states, flat and named."""
    with crossing.call("state"):
        own = {_SERVER + name: value.clone() for name, value in named_tensors(server.state())}
    return {**{_CLIENT + name: store.whole().clone() for name, store in states.items()}, **own}


def in_parts(
    server: Server[Any], states: Mapping[str, RowStore], crossing: Crossing
) -> Iterator[dict[str, Tensor]]:
    """Yield the result of `whole` in parts, small ones together, without unwritten rows."""
    small: dict[str, Tensor] = {}
    for part in _every_part(server, states, crossing):
        size = sum(tensor.nbytes for tensor in (*small.values(), *part.values()))
        if size > _SMALL_PART or small.keys() & part.keys():
            yield small
            small = {}
        small |= part
    yield small


def take_up(
    state: Mapping[str, Tensor],
    server: Server[Any],
    states: Mapping[str, RowStore],
    device: torch.device,
    crossing: Crossing,
) -> None:
    """Restore the result of `whole`, or a part that `in_parts` yielded."""
    own = {
        name.removeprefix(_SERVER): value.to(device, copy=True)
        for name, value in state.items()
        if name.startswith(_SERVER)
    }
    if own:
        with crossing.call("restore"):
            server.restore(own)
    for name, store in states.items():
        if _CLIENT + name in state:
            store.restore(state, _CLIENT + name)


def _every_part(
    server: Server[Any], states: Mapping[str, RowStore], crossing: Crossing
) -> Iterator[dict[str, Tensor]]:
    with crossing.call("parts"):
        parts = iter(server.parts())
    while True:
        with crossing.call("parts"):  # not while the caller works between parts
            part = next(parts, None)
            own = {} if part is None else {_SERVER + n: t for n, t in named_tensors(part)}
        if part is None:
            break
        yield own
    for name, store in states.items():
        yield from store.parts(_CLIENT + name)
