"""Loss, gradient and outputs of one convolutional network on a CPU, without autograd.

The results of `Task.gradient`, to rounding error, in under two thirds of the time: images are
stored with channels last, where PyTorch's pooling runs over whole vectors and its convolutions need
no other order; ReLU comes after pooling, on a quarter of the numbers; gradients are written
straight into their columns; and the large intermediates are memory that the thread has already.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from pflbench.engine.kernels import is_untouched
from pflbench.engine.scratch import scratch
from pflbench.method import Layout, Samples

_aten = torch.ops.aten
_pool = _aten.max_pool2d_with_indices.out
_pool_backward = _aten.max_pool2d_with_indices_backward.grad_input
_relu_backward = _aten.threshold_backward.grad_input

_EVALUATED = 256
"""Samples that are evaluated together: few, since the memory stays with the thread."""


Pair = tuple[int, ...]


@dataclass(frozen=True)
class _Pooling:
    """The arguments of a `MaxPool2d`."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    ceil: bool


@dataclass(frozen=True)
class _Convolution:
    """The arguments of a `Conv2d`, and of the pooling that follows its ReLU."""

    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int
    pooling: _Pooling | None


@dataclass(frozen=True)
class _Passed:
    """Tensors of a convolution for the backward pass: its input, its output, the next input."""

    x: Tensor
    convolved: Tensor
    out: Tensor
    indices: Tensor | None


class ConvolutionalGradient:
    """Networks of the form (Conv2d, ReLU, [MaxPool2d])…, Flatten, (Linear, ReLU)…, Linear.

    A gradient is in memory of the calling thread, which its next call reuses.
    """

    def __init__(self, layout: Layout, convolutions: list[_Convolution]) -> None:
        self._layout, self._convolutions = layout, convolutions

    @staticmethod
    def of(module: nn.Module, layout: Layout) -> ConvolutionalGradient | None:
        """Return it for a network, or None if the network has another form."""
        if type(module) is not nn.Sequential:
            return None
        layers = list(module)
        weighted = [m for m in layers if type(m) in (nn.Conv2d, nn.Linear)]
        unique = len(layout.names) == 2 * len(weighted)  # every bias exists, no layer used twice
        if not unique or not is_untouched(module):
            return None
        convolutions = []
        while layers and type(layers[0]) is nn.Conv2d:
            found = _convolution(layers)
            if found is None:
                return None
            convolutions.append(found)
        if not convolutions or not _is_perceptron(layers):
            return None
        return ConvolutionalGradient(layout, convolutions)

    def gradient(self, w: Tensor, samples: Samples) -> tuple[Tensor, Tensor]:
        """Return (∇loss [P], loss) of the mean cross entropy of a model w [P]; see `Task`."""
        g = scratch("gradient of one", tuple(w.shape), like=w)
        weights, biases = self._layers_of(w)
        for_weights, for_biases = self._layers_of(g)
        passed, inputs = self._forward(weights, biases, samples.x)
        share = (samples.mask / samples.mask.sum().clamp(min=1.0)).unsqueeze(1)
        target = samples.y.unsqueeze(1)
        log_p = torch.log_softmax(inputs[-1], 1)
        loss = (log_p.gather(1, target) * share).sum().neg()
        delta = log_p.exp_().mul_(share).scatter_add_(1, target, -share)
        convolutions = len(passed)
        for i in reversed(range(convolutions, len(weights))):
            x = inputs[i - convolutions]
            torch.mm(delta.t(), x, out=for_weights[i])
            torch.sum(delta, 0, out=for_biases[i])
            delta = delta @ weights[i]
            if i > convolutions:
                _relu_backward(delta, x, 0, grad_input=delta)
        delta = delta.view(passed[-1].out.shape)
        for i in reversed(range(convolutions)):
            delta, by_weight, by_bias = self._backward(i, passed[i], weights[i], delta)
            for_weights[i].copy_(by_weight)
            for_biases[i].copy_(by_bias)
        return g, loss

    def logits(self, w: Tensor, x: Tensor) -> Tensor:
        """Return the outputs [n, C] of a model w [P] on inputs x [n, *shape]."""
        layers = self._layers_of(w)
        return torch.cat([self._forward(*layers, b)[1][-1] for b in torch.split(x, _EVALUATED)])

    def _layers_of(self, w: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return views: each layer's weight, and its bias."""
        parameters = list(self._layout.unflatten(w).values())
        return parameters[0::2], parameters[1::2]

    def _forward(
        self, weights: list[Tensor], biases: list[Tensor], x: Tensor
    ) -> tuple[list[_Passed], list[Tensor]]:
        """Return the tensors of each convolution, and the linear layers' inputs and last output."""
        passed = []
        x = _like_channels_last("input", x)
        for i, layer in enumerate(self._convolutions):
            convolved = torch.conv2d(
                x, weights[i], biases[i], layer.stride, layer.padding, layer.dilation, layer.groups
            )
            out, indices = _pooled(i, convolved, layer.pooling)
            passed.append(_Passed(x, convolved, out.relu_(), indices))
            x = out
        inputs = [x.flatten(1)]
        for weight, bias in zip(weights[len(passed) :], biases[len(passed) :], strict=True):
            if len(inputs) > 1:
                inputs[-1].relu_()
            inputs.append(torch.addmm(bias, inputs[-1], weight.t()))
        return passed, inputs

    def _backward(
        self, i: int, passed: _Passed, weight: Tensor, delta: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients at convolution i's input (but the first's), weight and bias."""
        layer = self._convolutions[i]
        delta = _like_channels_last(f"delta {i}", delta)
        _relu_backward(delta, passed.out, 0, grad_input=delta)
        if layer.pooling is not None:
            p, pooled = layer.pooling, delta
            delta = _channels_last(f"unpooled {i}", tuple(passed.convolved.shape), like=delta)
            _pool_backward(
                pooled,
                passed.convolved,
                p.kernel,
                p.stride,
                p.padding,
                p.dilation,
                p.ceil,
                passed.indices,
                grad_input=delta,
            )
        found: tuple[Tensor, Tensor, Tensor] = _aten.convolution_backward(
            delta,
            passed.x,
            weight,
            [len(weight)],
            layer.stride,
            layer.padding,
            layer.dilation,
            False,
            [0, 0],
            layer.groups,
            [i > 0, True, True],
        )
        return found


def _pooled(i: int, x: Tensor, pooling: _Pooling | None) -> tuple[Tensor, Tensor | None]:
    """Return the maxima and where they were; ReLU, which may follow, commutes with both."""
    if pooling is None:
        return x, None
    shape = _pooled_shape(pooling, tuple(x.shape))
    out = _channels_last(f"pooled {i}", shape, like=x)
    indices = _channels_last(f"indices {i}", shape, like=x, dtype=torch.int64)
    _pool(
        x,
        pooling.kernel,
        pooling.stride,
        pooling.padding,
        pooling.dilation,
        pooling.ceil,
        out=out,
        indices=indices,
    )
    return out, indices


@lru_cache
def _pooled_shape(pooling: _Pooling, shape: tuple[int, ...]) -> tuple[int, ...]:
    x = torch.empty(shape, device="meta")
    return tuple(
        torch.max_pool2d(
            x, pooling.kernel, pooling.stride, pooling.padding, pooling.dilation, pooling.ceil
        ).shape
    )


def _channels_last(
    purpose: str, shape: tuple[int, ...], like: Tensor, dtype: torch.dtype | None = None
) -> Tensor:
    """Return memory of shape [n, C, H, W] in the order [n, H, W, C]."""
    n, channels, height, width = shape
    kind = like if dtype is None else like.new_empty(0, dtype=dtype)
    return scratch(purpose, (n, height, width, channels), like=kind).permute(0, 3, 1, 2)


def _like_channels_last(purpose: str, x: Tensor) -> Tensor:
    """Copy [n, C, H, W] in this order, with matching strides even for a single channel."""
    return _channels_last(purpose, tuple(x.shape), like=x).copy_(x)


def _convolution(layers: list[nn.Module]) -> _Convolution | None:
    """Take a convolution, its ReLU and perhaps its pooling off the front, if they are plain."""
    convolution = layers.pop(0)
    assert isinstance(convolution, nn.Conv2d)  # the caller looked
    following = []
    while layers and type(layers[0]) in (nn.ReLU, nn.MaxPool2d):
        following.append(layers.pop(0))
    pools = [m for m in following if isinstance(m, nn.MaxPool2d)]
    relus = len(following) - len(pools)
    plain = convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)
    if not plain or relus != 1 or len(pools) > 1 or any(pool.return_indices for pool in pools):
        return None
    padding = tuple(int(side) for side in convolution.padding)
    return _Convolution(
        convolution.stride,
        padding,
        convolution.dilation,
        convolution.groups,
        _pooling(pools[0]) if pools else None,
    )


def _pooling(pool: nn.MaxPool2d) -> _Pooling:
    stride = pool.kernel_size if pool.stride is None else pool.stride
    return _Pooling(
        _pair(pool.kernel_size),
        _pair(stride),
        _pair(pool.padding),
        _pair(pool.dilation),
        pool.ceil_mode,
    )


def _pair(argument: int | tuple[int, ...]) -> Pair:
    return (argument, argument) if isinstance(argument, int) else tuple(argument)


def _is_perceptron(layers: list[nn.Module]) -> bool:
    """Whether these are Flatten, then Linear and ReLU in turns."""
    if not layers or type(layers[0]) is not nn.Flatten:
        return False
    kinds = [type(layer) for layer in layers[1:]]
    flatten = layers[0]
    flat = (flatten.start_dim, flatten.end_dim) == (1, -1)
    return flat and bool(kinds) and kinds == ([nn.Linear, nn.ReLU] * len(kinds))[: len(kinds) | 1]
