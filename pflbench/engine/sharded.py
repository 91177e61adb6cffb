"""The clients of a cohort spread over several processes: each trains a share of the rows.

The trained rows are gathered once per round, so that every process has all of them, and its
copy of the server learns the same. Each process trains its rows with its own engine.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pflbench.engine.gathering import take
from pflbench.engine.interface import Engine, LocalShards, LocalWork, Padded, Trained
from pflbench.engine.process_group import Group
from pflbench.errors import Notice
from pflbench.federation import Shards
from pflbench.method import Client, Rows, Server
from pflbench.streams import stream

_PARTS = ("states", "uploads", "context")

DRIFT = 1e-5
"""Relative difference of two processes' server messages that is more than rounding."""


class ShardedEngine:
    """Gives each process a contiguous share of the rows.

    Parameters
    ----------
    engine
        Trains this process's share.
    group
        The processes.

    Attributes
    ----------
    apart
        Whether the processes' servers have sent rows that differ by more than rounding.
    """

    def __init__(self, engine: Engine, group: Group) -> None:
        self.engine, self.group = engine, group
        self.name = engine.name
        self.apart = False
        self._warned = False
        self._direction: dict[int, Tensor] = {}

    def train(self, work: LocalWork, *, record: bool = False) -> Trained:
        """See `Engine`."""
        sizes = [sum(p[k].size for p in work.batches) or 1 for k in range(len(work.clients))]
        bounds = shares(sizes, self.group.size)
        mine = self._mine(bounds)
        trained = self.engine.train(work.part(mine), record=record)
        rows = {
            f"{part}/{name}": tensor
            for part in _PARTS
            for name, tensor in getattr(trained, part).items()
        }
        rows |= {"losses": trained.losses, "steps": trained.steps, "diverged": trained.diverged}
        rows, told = self.group.gather(
            "training", rows, np.diff(bounds).tolist(), self._projection(work.received)
        )
        self.apart |= any(abs(other - told[0]) > DRIFT * abs(told[0]) for other in told)
        parts: dict[str, Rows] = {
            part: {
                name.removeprefix(f"{part}/"): tensor
                for name, tensor in rows.items()
                if name.startswith(f"{part}/")
            }
            for part in _PARTS
        }
        return Trained(
            **parts, losses=rows["losses"], steps=rows["steps"], diverged=rows["diverged"]
        )

    def personal(self, client: Client[Any], states: Rows, served: Rows) -> Tensor:
        """See `Engine`; done in every process, since rows are seldom more than picked."""
        return self.engine.personal(client, states, served)

    def logits(self, W: Tensor, shards: Shards, clients: Sequence[int]) -> Padded:
        """See `Engine`."""
        return self._gathered(
            shards, clients, lambda mine, some: self.engine.logits(W[mine], shards, some)
        )

    def predictions(
        self,
        client: Client[Any],
        states: Rows,
        served: Rows,
        shards: Shards,
        clients: Sequence[int],
        own: LocalShards,
    ) -> Padded:
        """See `Engine`."""
        return self._gathered(
            shards,
            clients,
            lambda mine, some: self.engine.predictions(
                client, take(states, mine), take(served, mine), shards, some, own
            ),
        )

    def _gathered(
        self,
        shards: Shards,
        clients: Sequence[int],
        outputs: Callable[[slice, Sequence[int]], Padded],
    ) -> Padded:
        """Return the outputs of all rows, of which this process makes its share."""
        sizes = shards.sizes[list(clients)]
        bounds = shares(sizes.tolist(), self.group.size)
        mine = self._mine(bounds)
        own = outputs(mine, list(clients)[mine])
        pad = int(sizes.max()) - own.mask.shape[1]
        rows = {
            "logits": F.pad(own.logits, (0, 0, 0, pad)),
            "y": F.pad(own.y, (0, pad)),
            "mask": F.pad(own.mask, (0, pad)),
        }
        rows, _ = self.group.gather("evaluation", rows, np.diff(bounds).tolist())
        return Padded(rows["logits"], rows["y"], rows["mask"])

    def align(self, server: Server[Any]) -> None:
        """Load the first process's server state in every process, if they differ.

        Copies of a server that compute the same differ by rounding where their machines, or the
        order in which a GPU adds, differ; in a server that learns, rounding grows.
        """
        if not self.apart:
            return
        self.apart = False
        if self.group.first and not self._warned:
            self._warned = True
            warnings.warn(
                "The processes' servers differ by more than rounding, and will do so again: each "
                "time, all adopt the first one's state. Processors of one kind avoid this.",
                Notice,
                stacklevel=2,
            )
        parts = server.parts() if self.group.first else None
        device = server.setup.initial.device
        for part in self.group.share_parts(parts):
            if not self.group.first:
                server.restore({name: value.to(device) for name, value in part.items()})

    def _mine(self, bounds: Sequence[int]) -> slice:
        """Return this process's rows, or the first one if it has none, to know their shapes."""
        begin, end = bounds[self.group.rank], bounds[self.group.rank + 1]
        return slice(begin, end) if begin < end else slice(0, 1)

    def _projection(self, received: Rows) -> float:
        """Return a number that changes as the rows do: their sum along a fixed random direction."""
        total = 0.0
        for tensor in received.values():
            if not tensor.is_floating_point() or not tensor.numel():
                continue
            rows = tensor[:1] if tensor.stride(0) == 0 else tensor
            rows = rows.reshape(len(rows), -1)
            width = rows.shape[1]
            if width not in self._direction:
                drawn = stream(0, "projection", width).standard_normal(width)
                self._direction[width] = torch.from_numpy(drawn).to(rows)
            total += float((rows @ self._direction[width]).abs().sum())
        return total


def shares(weights: Sequence[int], count: int) -> list[int]:
    """Cut rows into `count` contiguous shares of about equal weight; some may be empty.

    Returns
    -------
    [count + 1] bounds; share i is from bound i to bound i + 1.
    """
    ends = np.cumsum(np.asarray(weights, dtype=np.float64))
    middles = ends - np.asarray(weights) / 2
    inner = np.searchsorted(middles, ends[-1] * np.arange(1, count) / count)
    return [0, *inner.tolist(), len(weights)]
