"""The stacked engine: the clients of a cohort train together, as the rows of one matrix."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from pflbench.engine.batches import ChunkPlan, chunk_plan
from pflbench.engine.crossing import fit_start
from pflbench.engine.descent import descent_of
from pflbench.engine.gathering import joined, samples_of, take
from pflbench.engine.interface import LocalWork, Padded, Trained
from pflbench.engine.kernels import Kernel, kernel_for
from pflbench.engine.scratch import scratch
from pflbench.engine.threads import divide, pass_operations, side_by_side, step_operations
from pflbench.federation import Shards
from pflbench.method import Client, LocalData, Rows, Samples, State, Task

_EVALUATED_NUMBERS = 2**21
"""Inputs that one block of an evaluation holds at most."""


class StackedEngine:
    """Maps client code over rows.

    Parameters
    ----------
    task
        The learning problem.
    chunk
        Rows that train together, few enough to stay in the caches; no number depends on it
        beyond rounding error.
    """

    name = "stacked"

    def __init__(self, task: Task, chunk: int) -> None:
        self.task, self.chunk = task, chunk

    def train(self, work: LocalWork, *, record: bool = False) -> Trained:
        """See `Engine`."""
        # Most steps first: the rows still active at a step are then a prefix of the matrix. Then
        # most samples first: the short batches of a chunk come together, with little padding.
        sizes = [(-len(b), -int((b >= 0).sum())) for b in work.batches]
        order = sorted(range(len(sizes)), key=sizes.__getitem__)
        if order == list(range(len(sizes))):
            return self._train(work, record)
        there = torch.tensor(order, device=work.device)
        trained = self._train(
            replace(
                work,
                states=take(work.states, there),
                received=take(work.received, there),
                clients=[work.clients[k] for k in order],
                batches=[work.batches[k] for k in order],
            ),
            record,
        )
        back = there.argsort()
        return Trained(
            states=take(trained.states, back),
            uploads=take(trained.uploads, back),
            context=take(trained.context, back),
            losses=trained.losses[back],
            steps=trained.steps[back],
            diverged=trained.diverged[back],
        )

    def _train(self, work: LocalWork, record: bool) -> Trained:
        """Train chunk by chunk."""
        task = self.task
        operations = step_operations(task.layout.columns, work.width)
        cuts, cores = self._cut(len(work.batches), operations, work.device)
        W = task.initial.new_empty(len(work.clients), task.layout.columns)
        parts = side_by_side(
            [partial(_train_chunk, task, work.part(rows), W[rows], record) for rows in cuts], cores
        )
        return Trained(
            states=joined([part.states for part in parts], work.received),
            uploads=joined([part.uploads for part in parts], work.received),
            context=joined([part.context for part in parts], work.received),
            losses=torch.cat([part.losses for part in parts]),
            steps=torch.cat([part.steps for part in parts]),
            diverged=torch.cat([part.diverged for part in parts]),
        )

    def _cut(self, rows: int, operations: float, device: torch.device) -> tuple[list[slice], int]:
        """Cut rows of so many operations each into equal chunks; return them, and their cores."""
        count, cores = divide(rows, self.chunk, operations, device)
        bounds = [rows * i // count for i in range(count + 1)]
        return [slice(a, b) for a, b in itertools.pairwise(bounds)], cores

    def personal(self, client: Client[Any], states: Rows, served: Rows) -> Tensor:
        """See `Engine`."""
        models: Tensor = vmap(client.personal)(states, served)
        return models

    def logits(self, W: Tensor, shards: Shards, clients: Sequence[int]) -> Padded:
        """See `Engine`."""
        kernel = kernel_for(self.task, None)
        samples = samples_of(shards, clients, W.dtype)
        block = max(1, _EVALUATED_NUMBERS // (len(clients) * samples.x[0, 0].numel()))
        operations = pass_operations(self.task.layout.columns, samples.x.shape[1])
        cuts, cores = self._cut(len(clients), operations, W.device)
        parts = [partial(_outputs, kernel, W[rows], samples.x[rows], block) for rows in cuts]
        return Padded(torch.cat(side_by_side(parts, cores)), samples.y, samples.mask)


def _outputs(kernel: Kernel, W: Tensor, x: Tensor, block: int) -> Tensor:
    """Return outputs [K, n, C], so many samples at a time."""
    with torch.no_grad():  # a thread's own affair
        return torch.cat([kernel.logits(W, some) for some in torch.split(x, block, dim=1)], dim=1)


def _train_chunk(task: Task, work: LocalWork, W: Tensor, record: bool) -> Trained:
    """Start, train and finish the clients of a chunk, whose models lie in W [K, P]."""
    carry, context = _start(task, work, W)
    chunk = _Chunk(task, work.client, work.clients, work.data.train, work.batches)
    losses, diverged = chunk.train(carry, context)
    finish = _mapped(work.client, "finish")
    kept, uploads = finish(work.states, carry, work.received, context)
    steps = torch.tensor(chunk.plan.steps, device=W.device)
    return Trained(kept, uploads, context if record else {}, losses, steps, diverged)


def _mapped(client: Client[Any], place: str) -> Callable[..., Any]:
    """Return a place of the client for rows; what `Client` has there does for rows as it is."""
    method: Callable[..., Any] = getattr(client, place)
    return method if getattr(type(client), place) is getattr(Client, place) else vmap(method)


def _start(task: Task, work: LocalWork, W: Tensor) -> tuple[State, State]:
    client, clients, dtype = work.client, work.clients, W.dtype
    nothing = Samples(
        W.new_empty(len(clients), 0),
        W.new_empty(len(clients), 0, dtype=torch.int64),
        W.new_empty(len(clients), 0),
    )
    kind = type(client)
    seen = client.start_sees if kind.start is not Client.start else ()
    own = LocalData(
        samples_of(work.data.train, clients, dtype) if "train" in seen else nothing,
        samples_of(work.data.val, clients, dtype) if "val" in seen else nothing,
    )
    carry, context = _mapped(client, "start")(work.states, work.received, own)
    fit_start(carry, tuple(W.shape), W.dtype)
    W.copy_(carry.pop("w"))
    carry = {name: t.clone(memory_format=torch.contiguous_format) for name, t in carry.items()}
    if kind.train is not Client.train or kind.step is not Client.step:
        carry.setdefault("momentum", torch.zeros_like(W))
    return {"w": W, **carry}, context


class _Chunk:
    """The local training of some rows, in place."""

    def __init__(
        self,
        task: Task,
        client: Client[Any],
        clients: Sequence[int],
        shards: Shards,
        batches: Sequence[np.ndarray],
    ) -> None:
        self.client, self.shards, self.task = client, shards, task
        device, dtype = shards.x.device, task.initial.dtype
        offsets = [int(shards.offsets[c]) for c in clients]
        self.plan = chunk_plan(batches, offsets, device, dtype)
        self.losses = torch.zeros(len(self.plan.active), len(clients), dtype=dtype, device=device)

    def train(self, carry: State, context: State) -> tuple[Tensor, Tensor]:
        """Train; return mean losses [K], and the first step [K] whose loss is not finite or -1."""
        kind = type(self.client)
        if kind.train is not Client.train:
            self._whole(carry, context)
        elif kind.step is not Client.step:
            self._by_step(carry, context)
        else:
            self._by_default(carry, context)
        steps = torch.tensor(self.plan.steps, device=self.losses.device)
        real = torch.arange(len(self.losses), device=self.losses.device)[:, None] < steps
        bad = ~self.losses.isfinite() & real
        first = torch.where(bad.any(dim=0), bad.int().argmax(dim=0), -1)
        # A row at a time: along the steps of many rows, sums depend on how many there are.
        return self.losses.t().contiguous().sum(dim=1) / steps.clamp(min=1), first

    def _batch(self, s: int) -> Samples:
        a, b = self.plan.active[s], self.plan.width[s]
        flat = self.plan.index[s, :a, :b].reshape(-1)
        x = self.shards.x
        gathered = scratch("x", (a * b, *x.shape[1:]), like=x)
        torch.index_select(x, 0, flat, out=gathered)
        return Samples(
            gathered.view(a, b, *x.shape[1:]),
            self.shards.y.index_select(0, flat).view(a, b),
            self.plan.mask[s, :a, :b],
        )

    def _by_default(self, carry: State, context: State) -> None:
        descent = descent_of(self.task, self.client, carry, context)
        for s, (a, b) in enumerate(zip(self.plan.active, self.plan.width, strict=True)):
            descent.only(a)
            self.losses[s, :a] = descent.step(self._batch(s), self.plan.share[s, :a, :b])
        descent.end()

    def _by_step(self, carry: State, context: State) -> None:
        step = vmap(self.client.step)
        for s, a in enumerate(self.plan.active):
            rows = take(carry, slice(a))
            changed, self.losses[s, :a] = step(rows, self._batch(s), take(context, slice(a)))
            for name, value in changed.items():
                carry[name][:a] = value

    def _whole(self, carry: State, context: State) -> None:
        plan = self.plan
        for n in sorted(set(plan.steps), reverse=True):
            rows = slice(plan.steps.index(n), plan.steps.index(n) + plan.steps.count(n))
            changed, losses = vmap(self.client.train)(
                take(carry, rows), _batches(self.shards, plan, rows, n), take(context, rows)
            )
            self.losses[:n, rows] = losses.transpose(0, 1)
            for name, value in changed.items():
                carry[name][rows] = value


def _batches(shards: Shards, plan: ChunkPlan, rows: slice, steps: int) -> Samples:
    """Return all batches of some rows with as many steps: fields [K, steps, B, ...]."""
    index = plan.index[:steps, rows].transpose(0, 1)
    return Samples(shards.x[index], shards.y[index], plan.mask[:steps, rows].transpose(0, 1))
