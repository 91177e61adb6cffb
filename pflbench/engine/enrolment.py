"""Enrolment messages: uploaded before the first round, or before the one of joining."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.func import vmap

from pflbench.engine.gathering import samples_of, unpadded
from pflbench.engine.interface import LocalShards
from pflbench.method import Client, LocalData, Message

_TOGETHER = 2**22
"""Inputs of the clients that enrol together, at most."""


def enrolments(
    client: Client[Any],
    data: LocalShards,
    dtype: torch.dtype,
    clients: Sequence[int] | None = None,
    *,
    mapped: bool,
) -> list[Message]:
    """Return the clients' messages (default: all clients'), in their order.

    They are computed one after the other or, mapped, together for clients of one size.
    """
    clients = range(len(data.train.sizes)) if clients is None else clients
    with torch.no_grad():
        if not mapped:
            return [
                client.enrol(
                    LocalData(
                        unpadded(data.train, i, dtype, apart=True),
                        unpadded(data.val, i, dtype, apart=True),
                    )
                )
                for i in clients
            ]
        messages: dict[int, Message] = {}
        for group in _alike(data, np.asarray(clients)):
            own = LocalData(
                samples_of(data.train, group, dtype), samples_of(data.val, group, dtype)
            )
            rows = vmap(client.enrol)(own)
            for k, i in enumerate(group):
                messages[i] = {name: tensor[k] for name, tensor in rows.items()}
        return [messages[i] for i in clients]


def _alike(data: LocalShards, clients: np.ndarray) -> Iterator[list[int]]:
    """Yield groups of clients with as many samples in either split, each in the order given."""
    sizes = np.stack([data.train.sizes, data.val.sizes])[:, clients]
    kinds, kind = np.unique(sizes, axis=1, return_inverse=True)
    numbers = data.train.x[0].numel()
    for k in range(kinds.shape[1]):
        alike = clients[kind.reshape(-1) == k].tolist()
        together = max(1, _TOGETHER // (numbers * int(kinds[:, k].sum())))
        for begin in range(0, len(alike), together):
            yield alike[begin : begin + together]
