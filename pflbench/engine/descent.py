"""How the rows of a chunk go down their gradients: `Client.step`'s rule on whole matrices.

Which of the three ways is taken follows from the places that a method overrides. The numbers are
the same to rounding error; the passes over memory are not.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from pflbench.engine.gathering import take
from pflbench.engine.kernels import Kernel, kernel_for
from pflbench.engine.scratch import scratch
from pflbench.engine.sgd import Heading, Towards, descend_, step_
from pflbench.method import Client, Columns, Samples, Sgd, State, Task

_CACHED = 2**20
"""Bytes that a core's second-level cache holds at least, on the machines of these years."""


class Descent:
    """The gradients are added to the momentum as they are computed, then the other terms.

    Parameters
    ----------
    task, client
        The learning problem and the method's client half.
    kernel
        Computes gradients.
    carry
        "w" [K, P], changed in place, and "momentum" [K, P] unless it starts at zero.
    context
        The rows' contexts.
    columns
        The columns that are trained; None for all.
    """

    def __init__(
        self,
        task: Task,
        client: Client[Any],
        kernel: Kernel,
        carry: State,
        context: State,
        columns: Columns | None = None,
    ) -> None:
        kind = type(client)
        self.sgd, self.kernel, self.W, self.context = momentary(task), kernel, carry["w"], context
        self._frozen = None if columns is None else columns.rest
        self._fixed = None if self._frozen is None else self._frozen.take(self.W).clone()
        self.fresh = "momentum" not in carry
        self.M = self.memory("momentum") if self.fresh else carry["momentum"]
        self.kept = not self.fresh
        self._correct = None if kind.after_step is Client.after_step else vmap(client.after_step)
        near, far = kind.proximal is not Client.proximal, kind.pull is not Client.pull
        self._proximal = vmap(client.proximal)(context) if near else None
        self._pull = vmap(client.pull)(context) if far else None
        self._before = self.memory("before") if self._correct else self.W
        self._active = 0

    def memory(self, purpose: str) -> Tensor:
        """Return a matrix like W, not set to anything."""
        return scratch(purpose, tuple(self.W.shape), like=self.W)

    def into(self) -> Tensor:
        """Return the matrix that accumulates the gradients."""
        return self.M

    def only(self, rows: int) -> None:
        """Continue with the first rows only; the others are done."""
        if rows == self._active:
            return
        first = slice(rows)
        self._active, self.w, self.m = rows, self.W[:rows], self.M[:rows]
        self.before, self.now = self._before[:rows], take(self.context, first)
        self.near, self.far = _some(self._proximal, first), _some(self._pull, first)
        self.g = self.into()[:rows]
        self.blocks = [
            (self.w[b], self.m[b], _some(self.near, b), _some(self.far, b)) for b in self._cut(rows)
        ]
        self.accumulate = self.kernel.on(self.w, self.g)

    def step(self, rows: slice | Tensor, batch: Samples, share: Tensor) -> Tensor:
        """Do one step of some of the active rows; return the losses."""
        losses = self.advance(batch, share)
        if self._frozen is not None and self._fixed is not None:
            self._frozen.write(self.w, self._fixed[: len(self.w)])
        return losses

    def advance(self, batch: Samples, share: Tensor) -> Tensor:
        """Do one step of all active rows in all columns; return the losses."""
        losses = self.gradients(batch, share)
        if self._correct is None:
            self.move()
            return losses
        self.before.copy_(self.w)
        self.move()
        self.w.copy_(self._correct(self.w, self.before, self.now))
        return losses

    def gradients(self, batch: Samples, share: Tensor) -> Tensor:
        """Accumulate the gradients; return the losses."""
        keep = self.sgd.momentum if self.kept else 0.0  # memory that is not set counts for nothing
        self.kept = True
        return self.accumulate(batch, share, self.now, keep, 1.0)

    def move(self) -> None:
        """Move w along the momentum."""
        for w, m, near, far in self.blocks:
            descend_(w, m, self.sgd, near, far)

    def _cut(self, rows: int) -> list[slice]:
        """Cut the rows into blocks whose w, m and r stay in a core's cache from pass to pass."""
        row = 3 * self.W[0].nbytes
        block = max(1, _CACHED // row) if self.W.device.type == "cpu" else rows
        return [slice(a, min(a + block, rows)) for a in range(0, rows, block)]

    def end(self) -> None:
        """Bring w and the momentum into their final form."""


class HookedDescent(Descent):
    """For methods that change the gradient: it is written, changed, and then accumulated."""

    def __init__(
        self,
        task: Task,
        client: Client[Any],
        kernel: Kernel,
        carry: State,
        context: State,
        columns: Columns | None = None,
    ) -> None:
        super().__init__(task, client, kernel, carry, context, columns)
        self._hook, self._gradients = vmap(client.gradient), self.memory("gradient")
        if self.fresh:
            self.M.zero_()

    def into(self) -> Tensor:
        """See `Descent`."""
        return self._gradients

    def gradients(self, batch: Samples, share: Tensor) -> Tensor:
        """See `Descent`."""
        return self.accumulate(batch, share, self.now, 0.0, 1.0)

    def move(self) -> None:
        """See `Descent`."""
        g = self._hook(self.g, self.w, self.now)
        step_(self.w, g, self.m, self.sgd, self.near, self.far)


class HeadedDescent(Descent):
    """For plain SGD with momentum and weight decay: one pass, by `Heading`."""

    def __init__(
        self,
        task: Task,
        client: Client[Any],
        kernel: Kernel,
        carry: State,
        context: State,
        columns: Columns | None,
        heading: Heading,
    ) -> None:
        super().__init__(task, client, kernel, carry, context, columns)
        self.heading = heading
        if self.fresh:
            self.M.copy_(self.W)  # where w heads for without momentum
        else:
            heading.point_(self.M, self.W)

    def advance(self, batch: Samples, share: Tensor) -> Tensor:
        """See `Descent`."""
        heading = self.heading
        losses = self.accumulate(batch, share, self.now, heading.keep, heading.gain)
        self.w.lerp_(self.m, heading.share)
        return losses

    def end(self) -> None:
        """See `Descent`."""
        if not self.fresh:
            self.heading.momentum_(self.M, self.W)


class GeneralDescent:
    """Any optimiser, clipping, running statistics and random numbers: `Client.step` on rows.

    Parameters
    ----------
    task, client, kernel, carry, context, columns
        As of `Descent`.
    draws
        Whether places of the client may draw random numbers.
    """

    def __init__(
        self,
        task: Task,
        client: Client[Any],
        kernel: Kernel,
        carry: State,
        context: State,
        columns: Columns | None,
        draws: bool,
    ) -> None:
        self.kernel, self.W, self.context = kernel, carry["w"], context
        begun = task.optimiser_state(self.W)
        self.state = {name: carry.setdefault(name, value) for name, value in begun.items()}
        self._descend = vmap(
            partial(client.descend, columns=columns), randomness="different" if draws else "error"
        )

    def only(self, rows: int) -> None:
        """Continue with the first rows only; the others are done."""

    def step(self, rows: slice | Tensor, batch: Samples, share: Tensor) -> Tensor:
        """Do one step of some rows; return the losses."""
        w, context = self.W[rows], take(self.context, rows)
        change = torch.empty_like(w)
        losses = self.kernel.on(w, change)(batch, share, context, 0.0, 1.0)
        self.W[rows], state = self._descend(w, change, take(self.state, rows), context)
        for name, value in state.items():
            self.state[name][rows] = value
        return losses

    def end(self) -> None:
        """Leave everything as it is."""


def descent_of(
    task: Task,
    client: Client[Any],
    carry: State,
    context: State,
    columns: Columns | None = None,
    draws: bool = False,
) -> Descent | GeneralDescent:
    """Choose the way with the fewest passes over memory for what the method overrides."""
    kind = type(client)
    kernel = kernel_for(task, None if kind.loss is Client.loss else client.loss, draws=draws)
    if draws or not has_kernels(task):
        return GeneralDescent(task, client, kernel, carry, context, columns, draws)
    if kind.gradient is not Client.gradient:
        return HookedDescent(task, client, kernel, carry, context, columns)
    terms = ("proximal", "pull", "after_step")
    plain = all(getattr(kind, term) is getattr(Client, term) for term in terms)
    heading = Heading.of(momentary(task)) if plain else None
    if heading is None:
        return Descent(task, client, kernel, carry, context, columns)
    return HeadedDescent(task, client, kernel, carry, context, columns, heading)


def has_kernels(task: Task) -> bool:
    """Whether a step may be done in place: plain SGD of a function of weights and samples."""
    sgd = task.optimiser
    plain = isinstance(sgd, Sgd) and sgd.plain and not task.clip
    return plain and not task.nature.unpadded and not task.layout.buffers


def momentary(task: Task) -> Sgd:
    """Return plain SGD with the learning rate of the round."""
    sgd = task.optimiser
    assert isinstance(sgd, Sgd)
    return Sgd(task.rate, sgd.momentum, sgd.weight_decay)


def _some(towards: Towards | None, rows: slice) -> Towards | None:
    return towards and (towards[0][rows], towards[1][rows])
