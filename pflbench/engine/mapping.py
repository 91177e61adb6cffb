"""Whether a network can be mapped over the rows of a cohort, found by trying it on two."""

from __future__ import annotations

import re
import warnings
from functools import partial

import torch
from torch import Tensor
from torch.func import vmap

from pflbench.engine.initial import one_line
from pflbench.engine.probe import differ, unlike
from pflbench.method import Samples, Task

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
    x = x.to(w.device, w.dtype)
    inputs = torch.stack([x[:_BATCH], x[-_BATCH:]])
    y = torch.arange(inputs.shape[1], device=w.device).expand(inputs.shape[:2]) % task.classes
    batch = Samples(inputs, y, torch.ones_like(y, dtype=w.dtype))
    evaluate = partial(task.logits, training=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with torch.enable_grad():
                gradients, _ = vmap(task.gradient)(W, batch)
            with torch.no_grad():
                outputs = vmap(evaluate)(W, inputs)
    except Exception as error:  # of PyTorch, or of a plugin's network
        return _reason(error)
    if task.products is not None:  # rounded so coarsely that nothing can be compared
        return ""
    with torch.no_grad():
        singly = torch.stack([evaluate(*one) for one in zip(W, inputs, strict=True)])
    rows = [_gradient(task, W[k], Samples(*(field[k] for field in batch))) for k in range(len(W))]
    if differ(outputs, singly) or differ(gradients, torch.stack(rows)):
        return UNLIKE
    return ""


def _gradient(task: Task, w: Tensor, batch: Samples) -> Tensor:
    """Return the gradient as the sequential engine computes it."""
    row = w.clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(task.loss(row, batch), row)
    return gradient


def _reason(error: Exception) -> str:
    """Return why mapping failed, in few words."""
    text = str(error)
    if ".item()" in text:
        return "it looks at a tensor's value"
    without_rule = re.search(r"Batching rule not implemented for (?:aten::)?(\w+)", text)
    return f"it has no rule for {without_rule[1]}" if without_rule else one_line(error)
