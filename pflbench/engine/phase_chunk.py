"""A phase of local training for the rows of a chunk, in place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from pflbench.engine.batches import ChunkPlan, chunk_plan
from pflbench.engine.descent import descent_of
from pflbench.engine.draws import Draws
from pflbench.engine.gathering import take
from pflbench.engine.interface import LocalWork
from pflbench.engine.scratch import scratch
from pflbench.federation import Shards
from pflbench.method import Client, Phase, Samples, State, Task


class Part(NamedTuple):
    """Rows that do a step together.

    Attributes
    ----------
    rows
        Which rows: a prefix, or [k] numbers.
    batch
        Their samples, fields [k, b, ...].
    share
        [k, b] each sample's weight in its batch's mean.
    drawing
        In its body they draw random numbers.
    """

    rows: slice | Tensor
    batch: Samples
    share: Tensor
    drawing: AbstractContextManager[object]


class PhaseChunk:
    """The rows of a chunk in a phase.

    Parameters
    ----------
    task, work
        The learning problem, and the work of the rows.
    phase, batches
        The phase, and each row's batches in it.
    before
        Steps that each row did in earlier phases.

    Attributes
    ----------
    losses
        [S, K], 0 after a row's last step.
    steps
        Steps of each row.
    """

    def __init__(
        self,
        task: Task,
        work: LocalWork,
        phase: Phase,
        batches: Sequence[np.ndarray],
        before: Sequence[int],
    ) -> None:
        self.task, self.client, self.phase = task, work.client, phase
        self.shards = work.data.train
        self._work, self._before = work, before
        device, dtype = self.shards.x.device, task.initial.dtype
        offsets = [int(self.shards.offsets[c]) for c in work.clients]
        self.plan = chunk_plan(batches, offsets, device, dtype)
        self.losses = torch.zeros(len(self.plan.active), len(batches), dtype=dtype, device=device)
        self.steps = self.plan.steps
        self._draws = work.seeds is not None and (task.nature.draws or self.client.draws)
        self._randomness = "different" if self._draws else "error"

    def train(self, carry: State, context: State) -> None:
        """Train the rows, changing the carry."""
        kind = type(self.client)
        if self.phase.rule:
            self._by_rule(carry, context)
        elif kind.train is not Client.train:
            self._whole(carry, context)
        elif kind.step is not Client.step:
            self._begin(carry)
            self._by_rule(carry, context)
        else:
            self._by_default(carry, context)

    def reorder(self, back: Tensor) -> None:
        """Put the losses and steps of rows in another order."""
        self.losses = self.losses[:, back]
        self.steps = [self.steps[k] for k in back.tolist()]

    def _by_default(self, carry: State, context: State) -> None:
        phase = self.phase
        own = carry if phase.model == "w" and len(self._work.phases) == 1 else {}
        own = {**own, "w": carry[phase.model]}
        descent = descent_of(self.task, self.client, own, context, phase.columns, self._draws)
        for s, a in enumerate(self.plan.active):
            descent.only(a)
            with self.task.stepping(s):
                for part in self._parts(s):
                    with part.drawing:
                        self.losses[s][part.rows] = descent.step(part.rows, part.batch, part.share)
        descent.end()

    def _by_rule(self, carry: State, context: State) -> None:
        rule = getattr(self.client, self.phase.rule or "step")
        step = vmap(rule, randomness=self._randomness)
        for s in range(len(self.plan.active)):
            with self.task.stepping(s):
                for part in self._parts(s):
                    rows = take(carry, part.rows)
                    with part.drawing:
                        changed, losses = step(rows, part.batch, take(context, part.rows))
                    self._put(carry, rows, changed, part.rows)
                    self.losses[s][part.rows] = losses

    def _whole(self, carry: State, context: State) -> None:
        self._begin(carry)
        plan, train = self.plan, vmap(self.client.train, randomness=self._randomness)
        for n in sorted(set(plan.steps), reverse=True):
            rows = slice(plan.steps.index(n), plan.steps.index(n) + plan.steps.count(n))
            batches = _batches(self.shards, plan, rows, n)
            before = take(carry, rows)
            with self.task.stepping(0), self._drawing(0, rows):
                changed, losses = train(before, batches, take(context, rows))
            self._put(carry, before, changed, rows)
            self.losses[:n, rows] = losses.transpose(0, 1)

    def _begin(self, carry: State) -> None:
        """Give rows the optimiser's state, unless they have it."""
        for name, value in self.task.optimiser_state(carry["w"]).items():
            carry.setdefault(name, value)

    def _put(self, carry: State, before: State, changed: State, rows: slice | Tensor) -> None:
        """Put the trained rows into the carry, with frozen columns unchanged."""
        columns, model = self.phase.columns, self.phase.model
        for name, value in changed.items():
            if name == model and columns is not None:
                value = columns.pick(value, before[name])
            carry[name][rows] = value

    # Batches

    def _parts(self, s: int) -> Iterator[Part]:
        """Yield the rows that do step s: all active ones, or those with batches of one size."""
        active = self.plan.active[s]
        if not self.task.nature.unpadded:
            yield self._part(s, slice(active), self.plan.width[s])
            return
        real = self.plan.real[s, :active]
        for width in sorted(set(real.tolist()), reverse=True):
            alike = np.flatnonzero(real == width)
            rows: slice | Tensor = slice(active)
            if len(alike) < active:
                rows = torch.from_numpy(alike).to(self.losses.device)
            yield self._part(s, rows, int(width))

    def _part(self, s: int, rows: slice | Tensor, width: int) -> Part:
        flat = self.plan.index[s, rows, :width].reshape(-1)
        count, x = len(flat) // width, self.shards.x
        gathered = scratch("x", (len(flat), *x.shape[1:]), like=x)
        torch.index_select(x, 0, flat, out=gathered)
        batch = Samples(
            gathered.view(count, width, *x.shape[1:]),
            self.shards.y.index_select(0, flat).view(count, width, *self.shards.y.shape[1:]),
            self.plan.mask[s, rows, :width],
        )
        return Part(rows, batch, self.plan.share[s, rows, :width], self._drawing(s, rows))

    def _drawing(self, s: int, rows: slice | Tensor) -> AbstractContextManager[object]:
        seeds = self._work.seeds
        if not self._draws or seeds is None:
            return nullcontext()
        numbers = range(len(self._before))[rows] if isinstance(rows, slice) else rows.tolist()
        made = [seeds(self._work.clients[k], self._before[k] + s) for k in numbers]
        return Draws(made, mapped=True, device=self.losses.device)


def _batches(shards: Shards, plan: ChunkPlan, rows: slice, steps: int) -> Samples:
    """Return all batches of some rows with as many steps: fields [K, steps, B, ...]."""
    index = plan.index[:steps, rows].transpose(0, 1)
    mask = plan.mask[:steps, rows].transpose(0, 1)
    return Samples(shards.x[index], shards.y[index], mask)


def summarised(chunks: Sequence[PhaseChunk]) -> tuple[Tensor, Tensor, Tensor]:
    """Return each row's mean loss, steps, and first step whose loss is not finite or -1: [K]."""
    losses, rows = chunks[0].losses, len(chunks[0].steps)
    total, steps = losses.new_zeros(rows), torch.zeros(rows, dtype=torch.int64)
    first = torch.full((rows,), -1, device=losses.device)
    for chunk in chunks:
        bad = ~chunk.losses.isfinite()
        here = torch.where(bad.any(dim=0), bad.int().argmax(dim=0) + steps.to(first), -1)
        first = torch.where(first >= 0, first, here)
        # A row at a time: along the steps of many rows, sums depend on the number of rows.
        total = total + chunk.losses.t().contiguous().sum(dim=1)
        steps = steps + torch.tensor(chunk.steps)
    steps = steps.to(losses.device)
    return total / steps.clamp(min=1), steps, first
