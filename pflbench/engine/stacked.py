"""The stacked engine: the clients of a chunk train together, as the rows of one matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from pflbench.engine.base import LocalShards, Padded, Trained
from pflbench.engine.kernels import kernel_for
from pflbench.engine.plan import ChunkPlan, chunk_plan
from pflbench.engine.rows import join, samples_of, take
from pflbench.engine.sgd import sgd_step_
from pflbench.federation import Shards
from pflbench.method import Client, LocalData, Rows, Samples, State, Task


class StackedEngine:
    """Maps client code over the rows of chunks.

    Parameters
    ----------
    task
        The learning problem.
    chunk
        Rows that train together; no number depends on it beyond rounding error.
    """

    name = "stacked"

    def __init__(self, task: Task, chunk: int) -> None:
        self.task, self.chunk = task, chunk

    def train(
        self,
        client: Client[Any],
        states: Rows,
        received: Rows,
        clients: Sequence[int],
        data: LocalShards,
        batches: Sequence[np.ndarray],
        *,
        record: bool = False,
    ) -> Trained:
        """See `Engine`."""
        # Most steps first: the rows still active at a step are then a prefix of the matrix.
        order = sorted(range(len(clients)), key=lambda k: -len(batches[k]))
        device = data.train.x.device
        parts = []
        for begin in range(0, len(order), self.chunk):
            part = order[begin : begin + self.chunk]
            index = torch.tensor(part, device=device)
            run = part == list(range(part[0], part[0] + len(part)))
            rows = slice(part[0], part[0] + len(part)) if run else index
            parts.append(
                _Chunk(
                    self.task, client, take(states, rows), take(received, rows),
                    [clients[k] for k in part], data,
                    [batches[k] for k in part],
                ).run(record)
            )  # fmt: skip
        back = torch.empty(len(order), dtype=torch.int64, device=device)
        back[torch.tensor(order, device=device)] = torch.arange(len(order), device=device)
        return Trained(
            states=take(join([p.states for p in parts]), back),
            uploads=take(join([p.uploads for p in parts]), back),
            context=take(join([p.context for p in parts]), back),
            losses=torch.cat([p.losses for p in parts])[back],
            steps=torch.cat([p.steps for p in parts])[back],
            diverged=torch.cat([p.diverged for p in parts])[back],
        )

    def personal(self, client: Client[Any], states: Rows, served: Rows) -> Tensor:
        """See `Engine`."""
        models: Tensor = vmap(client.personal)(states, served)
        return models

    def logits(self, W: Tensor, shards: Shards, clients: Sequence[int]) -> Padded:
        """See `Engine`."""
        kernel = kernel_for(self.task, None)
        samples = samples_of(shards, clients, W.dtype)
        block = max(1, 2**21 // (len(clients) * samples.x[0, 0].numel()))
        outputs = [kernel.logits(W, x) for x in torch.split(samples.x, block, dim=1)]
        return Padded(torch.cat(outputs, dim=1), samples.y, samples.mask)


_NOTHING = Samples(torch.empty(0), torch.empty(0, dtype=torch.int64), torch.empty(0))
_NO_DATA = LocalData(_NOTHING, _NOTHING)


class _Chunk:
    """One chunk's local training."""

    def __init__(
        self,
        task: Task,
        client: Client[Any],
        states: Rows,
        received: Rows,
        clients: Sequence[int],
        data: LocalShards,
        batches: Sequence[np.ndarray],
    ) -> None:
        self.task, self.client, self.data = task, client, data
        self.states, self.received = states, received
        self.dtype, self.device = task.initial.dtype, data.train.x.device
        offsets = [int(data.train.offsets[c]) for c in clients]
        self.plan = chunk_plan(batches, offsets, self.device, self.dtype)
        self.clients = clients
        self.losses = torch.zeros(
            len(self.plan.active), len(clients), dtype=self.dtype, device=self.device
        )

    def run(self, record: bool) -> Trained:
        """Start, train, finish."""
        carry, context = self._start()
        kind = type(self.client)
        if kind.train is not Client.train:
            carry = self._train_whole(carry, context)
        elif kind.step is not Client.step:
            carry = self._train_by_step(carry, context)
        else:
            carry = self._train_by_default(carry, context)
        states, uploads = vmap(self.client.finish)(self.states, carry, self.received, context)
        steps = torch.tensor(self.plan.steps, device=self.device)
        real = torch.arange(len(self.losses), device=self.device)[:, None] < steps
        bad = ~self.losses.isfinite() & real
        first = torch.where(bad.any(dim=0), bad.int().argmax(dim=0), -1)
        mean = self.losses.sum(dim=0) / steps.clamp(min=1)
        return Trained(states, uploads, context if record else {}, mean, steps, first)

    def _start(self) -> tuple[State, State]:
        if type(self.client).start is Client.start:  # which looks at no data
            carry, context = self.client.start(self.states, self.received, _NO_DATA)
        else:
            data = LocalData(
                samples_of(self.data.train, self.clients, self.dtype),
                samples_of(self.data.val, self.clients, self.dtype),
            )
            carry, context = vmap(self.client.start)(self.states, self.received, data)
        carry = {name: t.contiguous().clone() for name, t in carry.items()}
        carry.setdefault("momentum", torch.zeros_like(carry["w"]))
        return carry, context

    def _batch(self, s: int) -> Samples:
        a, b = self.plan.active[s], self.plan.width[s]
        index = self.plan.index[s, :a, :b]
        shards = self.data.train
        x = shards.x.index_select(0, index.reshape(-1)).view(a, b, *shards.x.shape[1:])
        return Samples(x, shards.y[index], self.plan.mask[s, :a, :b])

    def _train_by_default(self, carry: State, context: State) -> State:
        """Run `Client.step`'s rule on whole matrices, in place."""
        client, kind, sgd = self.client, type(self.client), self.task.sgd
        kernel = kernel_for(self.task, None if kind.loss is Client.loss else client.loss)
        regularise = None if kind.gradient is Client.gradient else vmap(client.gradient)
        correct = None if kind.after_step is Client.after_step else vmap(client.after_step)
        W, M = carry["w"], carry["momentum"]
        G = torch.empty_like(W)
        before = torch.empty_like(W) if correct else W
        for s, a in enumerate(self.plan.active):
            w, c = W[:a], take(context, slice(a))
            self.losses[s, :a] = kernel.gradient(w, self._batch(s), c, out=G[:a])
            g = regularise(G[:a], w, c) if regularise else G[:a]
            if correct:
                before[:a] = w
            sgd_step_(w, g, M[:a], sgd)
            if correct:
                w.copy_(correct(w, before[:a], c))
        return carry

    def _train_by_step(self, carry: State, context: State) -> State:
        step = vmap(self.client.step)
        for s, a in enumerate(self.plan.active):
            rows = take(carry, slice(a))
            changed, self.losses[s, :a] = step(rows, self._batch(s), take(context, slice(a)))
            for name, value in changed.items():
                carry[name][:a] = value
        return carry

    def _train_whole(self, carry: State, context: State) -> State:
        plan = self.plan
        for n in sorted(set(plan.steps), reverse=True):
            rows = slice(plan.steps.index(n), plan.steps.index(n) + plan.steps.count(n))
            batches = _whole_batches(self.data.train, plan, rows, n)
            changed, losses = vmap(self.client.train)(
                take(carry, rows), batches, take(context, rows)
            )
            self.losses[:n, rows] = losses.transpose(0, 1)
            for name, value in changed.items():
                carry[name][rows] = value
        return carry


def _whole_batches(shards: Shards, plan: ChunkPlan, rows: slice, steps: int) -> Samples:
    """Return all batches of some rows with as many steps: fields [K, steps, B, ...]."""
    index = plan.index[:steps, rows].transpose(0, 1)
    return Samples(shards.x[index], shards.y[index], plan.mask[:steps, rows].transpose(0, 1))
