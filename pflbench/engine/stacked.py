"""The stacked engine: the clients of a cohort train together, as the rows of one matrix."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from pflbench.engine.crossing import fit_start
from pflbench.engine.draws import Draws
from pflbench.engine.gathering import joined, samples_of, take
from pflbench.engine.interface import LocalShards, LocalWork, Padded, Trained
from pflbench.engine.kept_state import parted, resume, take_out
from pflbench.engine.kernels import Kernel, kernel_for
from pflbench.engine.phase_chunk import PhaseChunk, summarised
from pflbench.engine.threads import divide, pass_operations, side_by_side, step_operations
from pflbench.federation import Shards
from pflbench.method import Client, LocalData, Phase, Rows, Samples, State, Task

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
        first = [int((b >= 0).sum()) for phase in work.batches[:1] for b in phase]
        sizes = list(zip((-s for s in work.steps()), (-n for n in first), strict=False))
        order = sorted(range(len(sizes)), key=sizes.__getitem__)
        if order == list(range(len(sizes))):
            return self._train(work, record)
        there = torch.tensor(order, device=work.device)
        trained = self._train(work.ordered(order, there), record)
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
        task = work.client.task
        operations = step_operations(task.layout.columns, work.width)
        cuts, cores = self._cut(len(work.clients), operations, work.device)
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
        """Cut rows of `operations` each into equal chunks; return them, and their cores."""
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
        samples = samples_of(shards, clients, self.task.initial.dtype)
        block = max(1, _EVALUATED_NUMBERS // (len(clients) * samples.x[0, 0].numel()))
        predict = vmap(client.predict)
        with torch.no_grad():
            if type(client).prepare is not Client.prepare:
                dtype = self.task.initial.dtype
                data = LocalData(*(samples_of(part, clients, dtype) for part in own.parts))
                rows = max(1, _EVALUATED_NUMBERS // max(1, data.train.x[0].numel()))
                states = vmap(client.prepare, chunk_size=rows)(states, served, data)
            parts = [predict(states, served, x) for x in torch.split(samples.x, block, dim=1)]
        return Padded(torch.cat(parts, dim=1), samples.y, samples.mask)


def _outputs(kernel: Kernel, W: Tensor, x: Tensor, block: int) -> Tensor:
    """Return outputs [K, n, C], a limited number of samples at a time."""
    with torch.no_grad():  # a thread's own affair
        return torch.cat([kernel.logits(W, some) for some in torch.split(x, block, dim=1)], dim=1)


def _train_chunk(task: Task, work: LocalWork, W: Tensor, record: bool) -> Trained:
    """Start, train and finish the clients of a chunk, whose models are in W [K, P]."""
    client, (states, optimiser) = work.client, parted(work.states)
    work = replace(work, states=states)
    carry, context = _start(task, work, W)
    resume(carry, optimiser)
    chunks, before = [], [0] * len(work.clients)
    for phase, batches in zip(work.phases, work.batches, strict=True):
        for now in _passes(work, phase, batches, carry, context):
            chunks.append(_play(task, work, phase, now, before, carry, context))
            before = [done + len(b) for done, b in zip(before, now, strict=True)]
    optimiser = take_out(carry, optimiser)
    carry["steps"] = torch.tensor(before, dtype=W.dtype, device=W.device)
    with _drawing(work, -2, W.device):
        finish = _mapped(client, "finish")
        kept, uploads = finish(work.states, carry, work.received, context)
        if type(client).summary is not Client.summary:
            own = LocalData(*(samples_of(part, work.clients, W.dtype) for part in work.data.parts))
            uploads = {**uploads, **_mapped(client, "summary")(carry, context, own)}
    told = summarised(chunks) if chunks else _untrained(len(before), W)
    return Trained({**kept, **optimiser}, uploads, context if record else {}, *told)


def _untrained(rows: int, W: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the result of `summarised` for rows without any step."""
    steps = torch.zeros(rows, dtype=torch.int64, device=W.device)
    return W.new_full((rows,), torch.nan), steps, steps - 1


def _passes(
    work: LocalWork, phase: Phase, batches: Sequence[np.ndarray], carry: State, context: State
) -> Iterator[Sequence[np.ndarray]]:
    """Yield each row's batches, pass by pass: none of a row that needs no further pass."""
    if not phase.passes:
        yield batches
        return
    rows, client = torch.arange(len(batches), device=work.device), work.client
    for _ in range(phase.passes):
        with client.task.within(phase):
            changed, again = vmap(client.more)(take(carry, rows), take(context, rows))
        for name, value in changed.items():
            carry[name][rows] = value
        rows = rows[again]
        if not len(rows):
            return
        left = set(rows.tolist())
        yield [own if k in left else own[:0] for k, own in enumerate(batches)]


def _play(
    task: Task,
    work: LocalWork,
    phase: Phase,
    batches: Sequence[np.ndarray],
    before: Sequence[int],
    carry: State,
    context: State,
) -> PhaseChunk:
    """Play a phase, with the rows in the order of their steps in it."""
    order = sorted(range(len(batches)), key=lambda k: -len(batches[k]))
    if order == list(range(len(batches))):
        chunk = PhaseChunk(task, work, phase, batches, before)
        with task.within(phase):
            chunk.train(carry, context)
        return chunk
    there = torch.tensor(order, device=work.device)
    sorted_work = work.ordered(order, there)
    chunk = PhaseChunk(
        task, sorted_work, phase, [batches[k] for k in order], [before[k] for k in order]
    )
    mine = {name: rows[there] for name, rows in carry.items()}
    with task.within(phase):
        chunk.train(mine, take(context, there))
    for name, rows in mine.items():
        if name in carry:
            carry[name][there] = rows
        else:
            carry[name] = rows[there.argsort()]
    chunk.reorder(there.argsort())
    return chunk


def _mapped(client: Client[Any], place: str) -> Callable[..., Any]:
    """Return a place of the client for rows; `Client`'s own version works for rows unchanged."""
    method: Callable[..., Any] = getattr(client, place)
    if getattr(type(client), place) is getattr(Client, place):
        return method
    mapped: Callable[..., Any] = vmap(method, randomness="different" if client.draws else "error")
    return mapped


def _drawing(work: LocalWork, step: int, device: torch.device) -> AbstractContextManager[object]:
    """Let client code draw in a place that is no step, if it says that it draws."""
    if work.seeds is None or not work.client.draws:
        return nullcontext()
    return Draws([work.seeds(i, step) for i in work.clients], mapped=True, device=device)


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
    with _drawing(work, -1, W.device):
        carry, context = _mapped(client, "start")(work.states, work.received, own)
    fit_start(carry, tuple(W.shape), W.dtype)
    W.copy_(carry.pop("w"))
    carry = {name: t.clone(memory_format=torch.contiguous_format) for name, t in carry.items()}
    return {"w": W, **carry}, context
