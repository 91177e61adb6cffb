"""A phase of one client's local training, with ordinary autograd."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pflbench.engine.descent import has_kernels, momentary
from pflbench.engine.sgd import Towards, step_
from pflbench.method import Client, Phase, Samples, Sgd, State, Task

Gradient = Callable[[Tensor, Samples, State], tuple[Tensor, Tensor]]
"""(w, batch, context) to (∇, loss) of what a local step goes down."""

Drawing = Callable[[int, bool], AbstractContextManager[object]]
"""(step, whether anything is drawn) to a context in which a step draws."""

Step = Callable[[State, Samples, State], tuple[State, Tensor]]


class LocalPhase:
    """A phase of a client.

    Parameters
    ----------
    task, client, phase
        The learning problem, the method's client half, and the phase.
    gradient
        Computes the gradients of the client's objective.
    """

    def __init__(self, task: Task, client: Client[Any], phase: Phase, gradient: Gradient) -> None:
        self.task, self.client, self.phase, self._gradient = task, client, phase, gradient

    def train(
        self, carry: State, context: State, samples: Samples, batches: np.ndarray, drawing: Drawing
    ) -> list[Tensor]:
        """Train, changing the carry; return the steps' losses."""
        client, kind, phase = self.client, type(self.client), self.phase
        draws = self.task.nature.draws or client.draws
        default = kind.step is Client.step and kind.train is Client.train and not phase.rule
        mine = carry
        if default and not (phase.model == "w" and client.phases() == (Phase(),)):
            mine = {"w": carry[phase.model]}
        given = set(mine)
        if not phase.rule:
            for name, value in self.task.optimiser_state(mine["w"]).items():
                mine.setdefault(name, value)
        if kind.train is not Client.train and not phase.rule:
            with self.task.stepping(0), drawing(0, draws):
                made, losses = client.train(mine, _stack_batches(samples, batches), context)
            self._refreeze(made, mine)
            carry.update(made)
            return list(losses)
        step, frozen = self._step(default), phase.columns is not None
        values = []
        for s, indices in enumerate(batches):
            before = {phase.model: mine[phase.model].clone()} if frozen and not default else {}
            with self.task.stepping(s), drawing(s, draws):
                made, loss = step(mine, _pick(samples, indices), context)
            self._refreeze(made, before)
            mine.update(made)
            values.append(loss)
        if default:
            for name in set(mine) - given:
                del mine[name]  # the optimiser's own: not the method's to see
            carry[phase.model] = mine["w"]
        return values

    def _step(self, default: bool) -> Step:
        """Return the function of a step: the phase's or the client's own, or the default rule."""
        if not default:
            own: Step = getattr(self.client, self.phase.rule or "step")
            return own
        if has_kernels(self.task):
            sgd = momentary(self.task)
            return partial(_in_place, self.client, self._gradient, self.phase, sgd)
        return partial(_general, self.client, self._gradient, self.phase)

    def _refreeze(self, made: State, before: State) -> None:
        """Put frozen columns back."""
        columns, model = self.phase.columns, self.phase.model
        if columns is not None and model in before:
            made[model] = columns.pick(made[model], before[model])


def by_autograd(
    client: Client[Any], w: Tensor, batch: Samples, context: State
) -> tuple[Tensor, Tensor]:
    """Return (change, loss) of a client's objective, as `Task.grad_and_value` does."""
    task = client.task
    w.requires_grad_()
    with task.watching() as made:
        loss = client.loss(w, batch, context)
    (g,) = torch.autograd.grad(loss, w)
    w.detach_()
    if task.layout.buffers:
        statistics = w[task.layout.trained :]
        g[task.layout.trained :] = statistics - made[-1] if made else 0.0
    return g, loss.detach()


def _in_place(
    client: Client[Any],
    gradient: Gradient,
    phase: Phase,
    sgd: Sgd,
    carry: State,
    batch: Samples,
    context: State,
) -> tuple[State, Tensor]:
    """Do `Client.step` in place, for plain SGD."""
    w = carry["w"]
    g, loss = gradient(w, batch, context)
    kind = type(client)
    g = client.gradient(g, w, context)
    proximal = None if kind.proximal is Client.proximal else _row(*client.proximal(context))
    pull = None if kind.pull is Client.pull else _row(*client.pull(context))
    keeps = kind.after_step is not Client.after_step or phase.columns is not None
    before = w.clone() if keeps else w
    step_(w[None], g[None], carry["momentum"][None], sgd, proximal, pull)
    after = client.after_step(w, before, context)
    if phase.columns is not None:
        after = phase.columns.pick(after, before)
    carry["w"] = after.contiguous()
    return carry, loss


def _general(
    client: Client[Any],
    gradient: Gradient,
    phase: Phase,
    carry: State,
    batch: Samples,
    context: State,
) -> tuple[State, Tensor]:
    """Do `Client.step` with any optimiser and any network."""
    change, loss = gradient(carry["w"], batch, context)
    w, state = client.descend(carry["w"], change, carry, context, phase.columns)
    return {**carry, **state, "w": w}, loss


def _row(strength: Tensor, towards: Tensor) -> Towards:
    return strength[None], towards[None]


def _pick(samples: Samples, indices: np.ndarray) -> Samples:
    index = torch.from_numpy(indices[indices >= 0]).to(samples.y.device)
    return Samples(samples.x[index], samples.y[index], samples.mask[index])


def _stack_batches(samples: Samples, batches: np.ndarray) -> Samples:
    index = torch.from_numpy(np.maximum(batches, 0)).to(samples.y.device)
    mask = torch.from_numpy(batches >= 0).to(samples.mask)
    return Samples(samples.x[index], samples.y[index], mask)
