"""Gathering rows and samples for a chunk of clients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pflbench.federation import Shards
from pflbench.method import Rows, Samples, State


def take(rows: Rows, index: Tensor | slice) -> Rows:
    """Return some of the rows."""
    return {name: tensor[index] for name, tensor in rows.items()}


def joined(parts: Sequence[Rows], others: Rows) -> Rows:
    """Return rows in one piece; parts that are adjacent in memory are not copied.

    Rows in the memory of `others` are copied: its owner may write to it.
    """
    taken = {tensor.untyped_storage().data_ptr() for tensor in others.values()}
    return {name: _joined([part[name] for part in parts], taken) for name in parts[0]}


def _joined(parts: Sequence[Tensor], taken: set[int]) -> Tensor:
    first, end = parts[0], parts[0].data_ptr()
    memory = first.untyped_storage().data_ptr()
    for part in parts:
        alike = part.is_contiguous() and part.untyped_storage().data_ptr() == memory
        if not alike or part.data_ptr() != end or memory in taken:
            return torch.cat(list(parts))
        end += part.nbytes
    return first.as_strided((sum(map(len, parts)), *first.shape[1:]), first.stride())


def samples_of(shards: Shards, clients: Sequence[int], dtype: torch.dtype) -> Samples:
    """Return the clients' samples as [K, n, ...], padded to the largest client.

    Clients of one size that follow each other are a view, without a copy.
    """
    sizes = shards.sizes[list(clients)]
    n, first = int(sizes.max()), int(clients[0])
    device = shards.x.device
    alike = bool((sizes == n).all())
    if alike and list(clients) == list(range(first, first + len(clients))):
        start = int(shards.offsets[first])
        stop = start + n * len(clients)
        x = shards.x[start:stop].view(len(clients), n, *shards.x.shape[1:])
        y = shards.y[start:stop].view(len(clients), n)
        return Samples(x, y, torch.ones(len(clients), n, device=device, dtype=dtype))
    position = np.arange(n)
    real = position[None, :] < sizes[:, None]
    index = shards.offsets[list(clients)][:, None] + np.where(real, position[None, :], 0)
    gathered = torch.from_numpy(index).to(device)
    mask = torch.from_numpy(real).to(device=device, dtype=dtype)
    return Samples(shards.x[gathered], shards.y[gathered], mask)


def unpadded(shards: Shards, client: int, dtype: torch.dtype, *, apart: bool = False) -> Samples:
    """Return one client's samples, without padding.

    They are a view of all clients', or, `apart`, in memory of their own: for a plugin's code, which
    could look beyond a view.
    """
    x, y = shards.client(client)
    if apart:
        x, y = x.clone(), y.clone()
    return Samples(x, y, torch.ones(len(y), device=x.device, dtype=dtype))


def row(rows: Rows, k: int) -> State:
    """Return one row in memory of its own, for a plugin's code."""
    return {name: tensor[k].clone() for name, tensor in rows.items()}
