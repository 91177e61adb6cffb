"""Whether a network can be mapped over the rows of a cohort, found by trying it on two."""

from __future__ import annotations

import copy
import re
import warnings
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor
from torch.func import vmap

from pflbench.engine.draws import Draws
from pflbench.engine.initial import one_line
from pflbench.engine.local_phase import by_autograd
from pflbench.engine.probe import differ, unlike
from pflbench.federation.arrays import cast_inputs
from pflbench.method import Client, Samples, Task

UNLIKE = "mapped, its numbers are others than one after the other"

_BATCH = 3


def unmapped(task: Task, x: Tensor) -> str:
    """Return why `torch.func.vmap` cannot map a network as training does, or "" if it can.

    Parameters
    ----------
    x
        [n, *shape] samples of the data.
    """
    w = task.initial
    W = torch.stack([w, unlike(w, task.layout)])
    x = cast_inputs(x, w.device, w.dtype)
    inputs = torch.stack([x[:_BATCH], x[-_BATCH:]])
    y = torch.arange(inputs.shape[1], device=w.device).expand(inputs.shape[:2]) % task.classes
    batch = Samples(inputs, y, torch.ones_like(y, dtype=w.dtype))
    evaluate = partial(task.logits, training=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with torch.enable_grad(), task.stepping(0), _drawing(task, 0, 1):
                gradients, _ = vmap(task.gradient, randomness="different")(W, batch)
            with torch.no_grad():
                outputs = vmap(evaluate)(W, inputs)
    except Exception as error:  # of PyTorch, or of a plugin's network
        return _reason(error)
    if task.products is not None:  # rounded so coarsely that nothing can be compared
        return ""
    with torch.no_grad():
        singly = torch.stack([evaluate(*one) for one in zip(W, inputs, strict=True)])
    rows = [
        _gradient(task, k, W[k], Samples(*(field[k] for field in batch))) for k in range(len(W))
    ]
    if not (differ(outputs, singly) or differ(gradients, torch.stack(rows))):
        return ""
    # In a deep network with batch statistics of few samples, rounding alone may go so far.
    if w.dtype == torch.float64 or w.device.type == "mps":
        return UNLIKE
    return UNLIKE if unmapped(_exact(task), x) else ""


def _exact(task: Task) -> Task:
    """Return the task in double precision, with a network of its own."""
    own = Task(
        copy.deepcopy(task.module),
        task.layout,
        task.initial,
        task.classes,
        task.optimiser,
        task.budget,
        nature=task.nature,
    )
    return own.to(task.initial.device, torch.float64)


def _gradient(task: Task, k: int, w: Tensor, batch: Samples) -> Tensor:
    """Return the gradient of row k as the sequential engine computes it."""
    client: Client[None] = Client(None, task)
    with torch.enable_grad(), task.stepping(0), _drawing(task, k):
        return by_autograd(client, w.clone(), batch, {})[0]


def _drawing(task: Task, *rows: int) -> AbstractContextManager[object]:
    """Let a network that draws do so from a stream for each row."""
    if not task.nature.draws:
        return nullcontext()
    return Draws(rows, mapped=len(rows) > 1, device=task.initial.device)


def _reason(error: Exception) -> str:
    """Return why mapping failed, in few words."""
    text = str(error)
    if ".item()" in text:
        return "it looks at a tensor's value"
    without_rule = re.search(r"Batching rule not implemented for (?:aten::)?(\w+)", text)
    return f"it has no rule for {without_rule[1]}" if without_rule else one_line(error)
