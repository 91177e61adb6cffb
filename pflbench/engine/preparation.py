"""What clients find out with their own data before their personal models are evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch.func import vmap

from pflbench.engine.crossing import stacked
from pflbench.engine.gathering import row, samples_of
from pflbench.engine.interface import LocalShards, predicts
from pflbench.method import Client, LocalData, Rows, Samples

if TYPE_CHECKING:
    from pflbench.engine.simulation import Simulation

_TOGETHER = 2**21
"""Inputs of the clients that are mapped together, at most."""


def prepared(
    simulation: Simulation, states: Rows, served: Rows, data: LocalShards, clients: Sequence[int]
) -> Rows:
    """Return the states [K, ...] that `Client.personal` gets in an evaluation.

    They are of `Client.prepare`, unless only `predict` needs it: engines call it there.

    Parameters
    ----------
    data, clients
        Samples, and the numbers of the K clients in them.
    """
    client, mapped = simulation.client, simulation.engine.name == "stacked"
    if type(client).prepare is Client.prepare or predicts(client):
        return states
    dtype = client.task.initial.dtype
    train, val = (samples_of(shards, clients, dtype) for shards in (data.train, data.val))
    with torch.no_grad():
        if mapped:
            rows = max(1, _TOGETHER // train.x[0].numel())
            found: Rows = vmap(client.prepare, chunk_size=rows)(
                states, served, LocalData(train, val)
            )
            return found
        each = []
        for k in range(len(clients)):
            own = LocalData(*(Samples(*(t[k].clone() for t in part)) for part in (train, val)))
            each.append(client.prepare(row(states, k), row(served, k), own))
        return stacked(each)
