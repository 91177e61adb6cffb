"""Losses, gradients and outputs of many models at once: one row, one model.

`VmapKernel` maps any network; `DenseKernel` does perceptrons by batched matrix products, which
is faster. Both give what `Task.gradient` gives for each row, to rounding error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import grad_and_value, vmap

from pflbench.method import Layout, Samples, State, Task

Objective = Callable[[Tensor, Samples, State], Tensor]


_relu_backward = torch.ops.aten.threshold_backward.grad_input  # one pass, in place


class Kernel(Protocol):
    """What the stacked engine needs of a network."""

    def gradient(self, W: Tensor, batch: Samples, context: State, out: Tensor) -> Tensor:
        """Write the rows' gradients into out [K, P] and return the losses [K].

        W is [K, P]; the batch's fields have a leading K.
        """
        ...

    def logits(self, W: Tensor, x: Tensor) -> Tensor:
        """Return outputs [K, n, C] of the models W [K, P] on x [K, n, *shape]."""
        ...


class VmapKernel:
    """Any network and any objective, mapped with `torch.func.vmap`."""

    def __init__(self, task: Task, objective: Objective) -> None:
        self._gradient = vmap(grad_and_value(objective))
        self._logits = vmap(task.logits)

    def gradient(self, W: Tensor, batch: Samples, context: State, out: Tensor) -> Tensor:
        """See `Kernel`."""
        gradient, losses = self._gradient(W, batch, context)
        out.copy_(gradient)
        result: Tensor = losses
        return result

    def logits(self, W: Tensor, x: Tensor) -> Tensor:
        """See `Kernel`."""
        out: Tensor = self._logits(W, x)
        return out


class DenseKernel:
    """Perceptrons (Flatten, Linear and ReLU in a row) under cross entropy, by hand.

    The backward pass writes each layer's gradient straight into its columns of the result, so
    that no concatenation of P columns is needed, and never computes the inputs' gradient.
    """

    def __init__(self, layout: Layout, layers: int) -> None:
        self._layout, self._layers = layout, layers

    @staticmethod
    def of(module: nn.Module, layout: Layout) -> DenseKernel | None:
        """Return a kernel for the network, or None if it is of another form."""
        if type(module) is not nn.Sequential:
            return None
        kinds = [type(layer) for layer in module if type(layer) is not nn.Flatten]
        linear = [layer for layer in module if type(layer) is nn.Linear]
        alternating = [nn.Linear, nn.ReLU] * len(linear)
        if not linear or kinds != alternating[:-1] or any(layer.bias is None for layer in linear):
            return None
        if any(type(layer) is nn.Flatten for layer in list(module)[1:]):
            return None
        first = module[0]
        if type(first) is nn.Flatten and (first.start_dim, first.end_dim) != (1, -1):
            return None
        shared = len(layout.names) != 2 * len(linear)  # one layer in two places
        if shared or any(m._forward_hooks or m._forward_pre_hooks for m in module.modules()):
            return None
        return DenseKernel(layout, len(linear))

    def _forward(self, W: Tensor, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        parameters = list(self._layout.unflatten(W).values())
        weights, biases = parameters[0::2], parameters[1::2]
        inputs = [x.flatten(start_dim=2)]
        for i in range(self._layers):
            z = torch.baddbmm(biases[i].unsqueeze(1), inputs[-1], weights[i].transpose(1, 2))
            inputs.append(z.relu_() if i < self._layers - 1 else z)
        return inputs, weights

    def gradient(self, W: Tensor, batch: Samples, context: State, out: Tensor) -> Tensor:
        """See `Kernel`."""
        inputs, weights = self._forward(W, batch.x)
        share = batch.mask / batch.mask.sum(dim=1, keepdim=True).clamp(min=1.0)
        log_p = F.log_softmax(inputs[-1], dim=-1)
        target = batch.y.unsqueeze(-1)
        losses = -(log_p.gather(-1, target).squeeze(-1) * share).sum(dim=1)
        delta = log_p.exp_()
        delta.scatter_add_(-1, target, delta.new_full((1, 1, 1), -1.0).expand(target.shape))
        delta *= share.unsqueeze(-1)
        columns = list(self._layout.unflatten(out).values())
        for i in reversed(range(self._layers)):
            torch.bmm(delta.transpose(1, 2), inputs[i], out=columns[2 * i])
            torch.sum(delta, dim=1, out=columns[2 * i + 1])
            if i > 0:
                delta = torch.bmm(delta, weights[i])
                _relu_backward(delta, inputs[i], 0, grad_input=delta)
        return losses

    def logits(self, W: Tensor, x: Tensor) -> Tensor:
        """See `Kernel`."""
        return self._forward(W, x)[0][-1]


def kernel_for(task: Task, objective: Objective | None) -> Kernel:
    """Choose the kernel for a task and, if the method has its own, an objective."""
    if objective is not None:
        return VmapKernel(task, objective)
    dense = DenseKernel.of(task.module, task.layout)
    if dense is not None:
        return dense
    return VmapKernel(task, lambda w, batch, context: task.loss(w, batch))
