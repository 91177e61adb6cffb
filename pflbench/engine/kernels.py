"""Losses, gradients and outputs of many models together: one row, one model.

`VmapKernel` maps any network; `DenseKernel` does perceptrons by batched matrix products, which
is faster. Both give what `Task.gradient` gives for each row, to rounding error.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.func import vmap

from pflbench.engine.scratch import scratch
from pflbench.method import Layout, Samples, State, Task

Objective = Callable[[Tensor, Samples, State], Tensor]


_relu_backward = torch.ops.aten.threshold_backward.grad_input  # one pass, in place

Accumulate = Callable[[Samples, Tensor, State, float, float], Tensor]
"""(batch, share, context, keep, gain) to losses [K]: into ← keep·into + gain·∇ for its rows.

The batch's fields have a leading K; share [K, B] is each sample's weight in its batch's mean, 0 on
padding. The old content of `into` is ignored if keep is 0.
"""


class Kernel(Protocol):
    """The interface of a network for the stacked engine."""

    def on(self, W: Tensor, into: Tensor) -> Accumulate:
        """Return a function that adds the gradients of the models W [K, P] to `into` [K, P]."""
        ...

    def logits(self, W: Tensor, x: Tensor) -> Tensor:
        """Return outputs [K, n, C] of the models W [K, P] on x [K, n, *shape], for evaluation."""
        ...


class VmapKernel:
    """Any network and any objective, mapped with `torch.func.vmap`.

    Parameters
    ----------
    draws
        Whether network or objective draw random numbers, each row its own (`Draws`).
    """

    def __init__(self, task: Task, objective: Objective, *, draws: bool = False) -> None:
        randomness = "different" if draws else "error"
        self._gradient = vmap(task.grad_and_value(objective), randomness=randomness)
        self._logits = vmap(partial(task.logits, training=False))

    def on(self, W: Tensor, into: Tensor) -> Accumulate:
        """See `Kernel`."""

        def accumulate(
            batch: Samples, share: Tensor, context: State, keep: float, gain: float
        ) -> Tensor:
            gradient, losses = self._gradient(W, batch, context)
            _add(gradient, into, keep, gain)
            result: Tensor = losses
            return result

        return accumulate

    def logits(self, W: Tensor, x: Tensor) -> Tensor:
        """See `Kernel`."""
        out: Tensor = self._logits(W, x)
        return out


class DenseKernel:
    """Perceptrons (Flatten, Linear and ReLU in a row) under cross entropy, by hand.

    The products of the backward pass add each layer's gradient directly to its columns of the
    result: no gradient is written and read again, none of the inputs is computed. Activations
    are [K, features, n], samples last: each product then has an operand that needs no copy,
    and softmax runs over whole vectors of samples.
    """

    def __init__(self, layout: Layout, layers: int) -> None:
        self._layout, self._layers = layout, layers

    @staticmethod
    def of(
        module: nn.Module, layout: Layout, products: torch.dtype | None = None
    ) -> DenseKernel | None:
        """Return a kernel for the network, or None if it has another form.

        `products` is the type of its matrix products, if different from the rows' type.
        """
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
        if shared or not is_untouched(module):
            return None
        if products is not None:
            return MixedDenseKernel(layout, len(linear), products)
        return DenseKernel(layout, len(linear))

    def on(self, W: Tensor, into: Tensor) -> Accumulate:
        """See `Kernel`."""
        weights, biases = self._layers_of(W)
        for_weights, for_biases = self._layers_of(into)
        backward = [w.transpose(1, 2) for w in weights]
        ones = W.new_empty(0)

        def accumulate(
            batch: Samples, share: Tensor, context: State, keep: float, gain: float
        ) -> Tensor:
            nonlocal ones
            if ones.shape != (*batch.y.shape, 1):
                ones = W.new_ones(*batch.y.shape, 1)
            inputs = _forward(weights, biases, batch.x)
            losses, delta = _of_loss(inputs[-1], batch.y, share)
            for i in reversed(range(self._layers)):
                for_weights[i].baddbmm_(delta, inputs[i].transpose(1, 2), beta=keep, alpha=gain)
                for_biases[i].baddbmm_(delta, ones, beta=keep, alpha=gain)
                if i > 0:
                    delta = torch.bmm(backward[i], delta)
                    _relu_backward(delta, inputs[i], 0, grad_input=delta)
            return losses

        return accumulate

    def logits(self, W: Tensor, x: Tensor) -> Tensor:
        """See `Kernel`."""
        return _forward(*self._layers_of(W), x)[-1].transpose(1, 2)

    def _layers_of(self, W: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return views: the weights [K, out, in] and the biases [K, out, 1] of each layer."""
        parameters = list(self._layout.unflatten(W).values())
        return parameters[0::2], [bias.unsqueeze(2) for bias in parameters[1::2]]


class MixedDenseKernel(DenseKernel):
    """The same with products of another type than the rows: bfloat16 on float32.

    The rule is that of `torch.autocast`: weights, biases and inputs are rounded before a layer,
    activations are of the products' type, and so are the gradients of weights before they
    are added. Log-softmax and losses are of the rows' type. Weights are rounded into separate
    matrices, which products of that type read faster than columns of a row.
    """

    def __init__(self, layout: Layout, layers: int, products: torch.dtype) -> None:
        super().__init__(layout, layers)
        self._products = products

    def on(self, W: Tensor, into: Tensor) -> Accumulate:
        """See `Kernel`."""
        weights, biases = self._layers_of(W)
        for_weights, for_biases = self._layers_of(into)
        low = W.new_empty(0, dtype=self._products)
        rounded = _memory("rounded weights", weights, low)
        products = _memory("products", weights, low)
        gradients = _memory("gradients of layers", weights, W)
        backward = [w.transpose(1, 2) for w in rounded]

        def accumulate(
            batch: Samples, share: Tensor, context: State, keep: float, gain: float
        ) -> Tensor:
            for mine, w in zip(rounded, weights, strict=True):
                mine.copy_(w)
            inputs = _forward(rounded, [self._rounded(b) for b in biases], self._rounded(batch.x))
            losses, delta = _of_loss(inputs[-1].to(W.dtype), batch.y, share)
            delta = self._rounded(delta.mul_(gain))  # a factor costs no precision here
            for i in reversed(range(self._layers)):
                torch.bmm(delta, inputs[i].transpose(1, 2), out=products[i])
                _add(gradients[i].copy_(products[i]), for_weights[i], keep)
                _add(delta.sum(2, keepdim=True, dtype=W.dtype), for_biases[i], keep)
                if i > 0:
                    delta = torch.bmm(backward[i], delta)
                    _relu_backward(delta, inputs[i], 0, grad_input=delta)
            return losses

        return accumulate

    def logits(self, W: Tensor, x: Tensor) -> Tensor:
        """See `Kernel`."""
        weights, biases = ([self._rounded(t) for t in part] for part in self._layers_of(W))
        return _forward(weights, biases, self._rounded(x))[-1].transpose(1, 2).to(W.dtype)

    def _rounded(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._products, memory_format=torch.contiguous_format)


def _memory(purpose: str, weights: list[Tensor], like: Tensor) -> list[Tensor]:
    """Return a separate, uninitialised matrix for each of the weights."""
    return [scratch(f"{purpose} {i}", tuple(w.shape), like) for i, w in enumerate(weights)]


def _add(gradient: Tensor, into: Tensor, keep: float, gain: float = 1.0) -> None:
    """Do into ← keep·into + gain·gradient."""
    if keep and gain == 1.0:
        torch.add(gradient, into, alpha=keep, out=into)  # one pass
    elif keep:
        into.mul_(keep).add_(gradient, alpha=gain)
    else:
        torch.mul(gradient, gain, out=into)


def _of_loss(outputs: Tensor, y: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Return the losses [K], and their gradients at the outputs [K, C, n]."""
    log_p = torch.log_softmax(outputs, 1)
    target, weight = y.unsqueeze(1), share.unsqueeze(1)
    losses = torch.sum(log_p.gather(1, target).mul_(weight), (1, 2)).neg_()
    return losses, log_p.exp_().mul_(weight).scatter_add_(1, target, -weight)


def _forward(weights: list[Tensor], biases: list[Tensor], x: Tensor) -> list[Tensor]:
    """Return the layers' inputs and the network's output, each [K, features, n]."""
    inputs = [x.flatten(start_dim=2).transpose(1, 2)]
    for weight, bias in zip(weights, biases, strict=True):
        if len(inputs) > 1:
            inputs[-1].relu_()
        inputs.append(torch.baddbmm(bias, weight, inputs[-1]))
    return inputs


def is_untouched(module: nn.Module) -> bool:
    """Return whether layers do what their types do: no hooks, no `forward` of one object's own."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return not any(
        "forward" in vars(layer) or any(getattr(layer, name) for name in hooks)
        for layer in module.modules()
    )


def kernel_for(task: Task, objective: Objective | None, *, draws: bool = False) -> Kernel:
    """Choose the kernel for a task and, if the method has its own, an objective."""
    if objective is not None:
        return VmapKernel(task, objective, draws=draws)
    dense = DenseKernel.of(task.module, task.layout, task.products)
    if dense is not None:
        return dense
    return VmapKernel(task, lambda w, batch, context: task.loss(w, batch), draws=draws)
