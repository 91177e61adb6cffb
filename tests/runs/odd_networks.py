"""Networks that users write: some unfit for a run, some unusual and fit.

Each class is a `build`: it is called with the model's parameters, a sample's shape and the classes.
"""

from __future__ import annotations

import copy
import random
import threading
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 4
OWN = np.random.default_rng(0)
"""A generator that no run knows."""


class Plain(nn.Module):
    """Two layers; what is between them is what the others override."""

    def __init__(self, parameters: Any, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.first = nn.Linear(torch.Size(shape).numel(), WIDTH)
        self.head = nn.Linear(WIDTH, classes)

    def between(self, h: Tensor) -> Tensor:
        return h

    def forward(self, x: Tensor) -> Any:
        return self.head(self.between(self.first(x.flatten(1)).relu()))


# Random numbers


class FunctionalDropout(Plain):
    def between(self, h: Tensor) -> Tensor:
        return F.dropout(h, 0.5, self.training)


class DropoutAlways(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.dropout(self.first(x.flatten(1)), 0.5, training=not self.training))


class Attention(Plain):
    dropout = 0.5

    def __init__(self, parameters: Any, shape: tuple[int, ...], classes: int) -> None:
        super().__init__(parameters, shape, classes)
        self.attention = nn.MultiheadAttention(WIDTH, 2, dropout=self.dropout, batch_first=True)

    def between(self, h: Tensor) -> Tensor:
        tokens = h.unsqueeze(1)
        out: Tensor = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return out.squeeze(1)


class DepthByChance(Plain):
    """Skips its layer, but so seldom that hardly any call does."""

    def between(self, h: Tensor) -> Tensor:
        return h * 0 if self.training and torch.rand(1).item() < 1e-6 else h


class NumpyNoise(Plain):
    def between(self, h: Tensor) -> Tensor:
        return h * (2.0 if np.random.rand() < 1e-6 else 1.0)


class PythonNoise(Plain):
    def between(self, h: Tensor) -> Tensor:
        return h * (2.0 if random.random() < 1e-6 else 1.0)


class NoiseOfItsOwn(Plain):
    def __init__(self, parameters: Any, shape: tuple[int, ...], classes: int) -> None:
        super().__init__(parameters, shape, classes)
        self.rng = np.random.default_rng(0)

    def between(self, h: Tensor) -> Tensor:
        return h * (2.0 if self.rng.random() < 1e-6 else 1.0)


class NoiseOfTheModule(Plain):
    def between(self, h: Tensor) -> Tensor:
        return h + float(OWN.normal())


class SeededDropout(Plain):
    """The same mask in every call, but another for each place in the batch."""

    def between(self, h: Tensor) -> Tensor:
        g = torch.Generator().manual_seed(0)
        return h * (torch.rand(h.shape, generator=g) < 0.5)


class BatchNormalised(Plain):
    def __init__(self, parameters: Any, shape: tuple[int, ...], classes: int) -> None:
        super().__init__(parameters, shape, classes)
        self.norm = nn.BatchNorm1d(WIDTH)

    def between(self, h: Tensor) -> Tensor:
        out: Tensor = self.norm(h)
        return out


class DropoutByHook(Plain):
    def __init__(self, parameters: Any, shape: tuple[int, ...], classes: int) -> None:
        super().__init__(parameters, shape, classes)
        self.head.register_forward_pre_hook(lambda layer, x: (F.dropout(x[0], 0.5),))


# Other samples of the batch


class BatchStatistics(Plain):
    def __init__(self, parameters: Any, shape: tuple[int, ...], classes: int) -> None:
        super().__init__(parameters, shape, classes)
        self.norm = nn.BatchNorm1d(WIDTH, track_running_stats=False)

    def between(self, h: Tensor) -> Tensor:
        return self.norm(h)


class Centre(nn.Module):
    def forward(self, h: Tensor) -> Tensor:
        return h - h.mean(0)


class HiddenStatistics(Plain):
    """Its head begins at zero, so that at first no output shows what the layer before it does."""

    def __init__(self, parameters: Any, shape: tuple[int, ...], classes: int) -> None:
        super().__init__(parameters, shape, classes)
        self.centre = Centre()
        nn.init.zeros_(self.head.weight)

    def between(self, h: Tensor) -> Tensor:
        return self.centre(h)


class AverageAtEvaluation(Plain):
    def between(self, h: Tensor) -> Tensor:
        return h if self.training else h + 1e-3 * h.mean(0)


class AttentionOverSamples(Plain):
    def between(self, h: Tensor) -> Tensor:
        return h + (h @ h.t()).softmax(1) @ h


class Place(Plain):
    def between(self, h: Tensor) -> Tensor:
        return h + torch.arange(len(h), dtype=h.dtype)[:, None]


class LargeBatch(Plain):
    def between(self, h: Tensor) -> Tensor:
        return h * 2 if len(h) > 20 else h


class PairOfSamples(Plain):
    def between(self, h: Tensor) -> Tensor:
        return h if self.training or len(h) != 2 else h * 2


class ScaledBySize(Plain):
    """As a sum over the batch is, where a mean was meant."""

    def between(self, h: Tensor) -> Tensor:
        return h * len(h)


class _Shared(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        return h.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g + g.mean(0)


class SharedGradient(Plain):
    def between(self, h: Tensor) -> Tensor:
        out: Tensor = _Shared.apply(h)
        return out


# State


class Counter(Plain):
    calls = 0

    def between(self, h: Tensor) -> Tensor:
        self.calls += 1
        return h * 2 if self.calls > 10_000 else h


class FirstBatch(Plain):
    mean: Tensor | None = None

    def between(self, h: Tensor) -> Tensor:
        if self.mean is None:
            self.mean = h.detach().mean(0)
        return h - self.mean


class ClipsItself(Plain):
    def forward(self, x: Tensor) -> Tensor:
        self.first.weight.data.clamp_(-0.01, 0.01)
        return self.head(self.first(x.flatten(1)))


class ChangesInputs(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.first(x.sub_(1.0).flatten(1)))


class MakesParameters(Plain):
    def between(self, h: Tensor) -> Tensor:
        if not hasattr(self, "scale"):
            self.scale = nn.Parameter(torch.ones(WIDTH))
        return h * self.scale


class Locked(Plain):
    def __init__(self, parameters: Any, shape: tuple[int, ...], classes: int) -> None:
        super().__init__(parameters, shape, classes)
        self.lock = threading.Lock()


# Outputs and parameters


class Pair(Plain):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x), x


class Narrow(Plain):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x)[:, 1:]


class Squeezed(Plain):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x).squeeze()


class HalfOutputs(Plain):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x).half()


class Endless(Plain):
    def between(self, h: Tensor) -> Tensor:
        return h / 0.0


class Raising(Plain):
    def forward(self, x: Tensor) -> Any:
        raise LookupError("no such layer")


class Detached(Plain):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x).detach()


def half(parameters: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    return Plain(parameters, shape, classes).half()


def double(parameters: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    return Plain(parameters, shape, classes).double()


def on_meta(parameters: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    return Plain(parameters, shape, classes).to("meta")


def lazy(parameters: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))


def all_frozen(parameters: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    return Plain(parameters, shape, classes).requires_grad_(requires_grad=False)


def no_head(parameters: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(shape).numel(), classes))


def with_buffer(parameters: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    made = Plain(parameters, shape, classes)
    made.register_buffer("places", torch.ones(WIDTH))
    return made


def no_network(parameters: Any, shape: tuple[int, ...], classes: int) -> object:
    return Plain(parameters, shape, classes).forward


def broken(parameters: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    raise LookupError("no such file")


# Weights


def drawn_elsewhere(parameters: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    made = Plain(parameters, shape, classes)
    nn.init.constant_(made.first.bias, float(np.random.default_rng().normal()))
    return made


class HiddenDraw(Plain):
    """What it draws is no parameter."""

    def __init__(self, parameters: Any, shape: tuple[int, ...], classes: int) -> None:
        super().__init__(parameters, shape, classes)
        self.scale = float(np.random.default_rng().normal())

    def between(self, h: Tensor) -> Tensor:
        return h * self.scale


_loaded: list[nn.Module] = []


def same_again(parameters: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    if not _loaded:
        _loaded.append(Plain(parameters, shape, classes))
    return _loaded[0]


def shared_body(parameters: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    made = Plain(parameters, shape, classes)
    if not _loaded:
        _loaded.append(copy.deepcopy(made))
    made.first = _loaded[0].first  # type: ignore[assignment]  # a layer like the others
    return made


def constants(parameters: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    made = no_head(parameters, shape, classes)
    nn.init.constant_(made[1].weight, 0.25)  # type: ignore[index]  # a Sequential
    nn.init.constant_(made[1].bias, 0.5)  # type: ignore[index]
    return made


def drawn_by_all(parameters: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    """Draw from all the generators that a process shares."""
    made = Plain(parameters, shape, classes)
    with torch.no_grad():
        made.first.weight.copy_(torch.from_numpy(np.random.normal(size=made.first.weight.shape)))
        made.head.bias.fill_(random.random())
    return made


# Fit


class Recurrent(Plain):
    def __init__(self, parameters: Any, shape: tuple[int, ...], classes: int) -> None:
        super().__init__(parameters, shape, classes)
        self.first = nn.LSTM(shape[-1], WIDTH, batch_first=True)  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Any:
        return self.head(self.first(x)[0][:, -1])


class ByValue(Plain):
    def between(self, h: Tensor) -> Tensor:
        return h if h.isfinite().all() else h.nan_to_num()


class Encoder(Plain):
    def __init__(self, parameters: Any, shape: tuple[int, ...], classes: int) -> None:
        super().__init__(parameters, shape, classes)
        self.encoder = nn.TransformerEncoderLayer(WIDTH, 2, 8, dropout=0.0, batch_first=True)

    def between(self, h: Tensor) -> Tensor:
        out: Tensor = self.encoder(h.unsqueeze(1))
        return out.squeeze(1)


class AttentionWithoutDropout(Attention):
    dropout = 0.0


class Normalised(Plain):
    """Normalises each sample by itself, in three ways, and drops nothing."""

    def __init__(self, parameters: Any, shape: tuple[int, ...], classes: int) -> None:
        super().__init__(parameters, shape, classes)
        self.norms = nn.Sequential(
            nn.LayerNorm(WIDTH),
            nn.GroupNorm(2, WIDTH),
            nn.Dropout(0.0),
            nn.Unflatten(1, (2, 2)),
            nn.InstanceNorm1d(2),
            nn.Flatten(),
        )

    def between(self, h: Tensor) -> Tensor:
        return self.norms(h)


class Remembers(Plain):
    """Keeps a constant that it computes once: no output follows from an earlier call."""

    def between(self, h: Tensor) -> Tensor:
        if not hasattr(self, "places"):
            self.places = torch.arange(WIDTH, dtype=h.dtype)
        return h + self.places


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self, parameters: Any, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        n = torch.Size(shape).numel()
        self.first, self.second = nn.Linear(n, n), nn.Linear(n, n)
        self.second.weight = self.first.weight
        self.head = nn.Linear(n, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.first(x.flatten(1)).relu()).relu())


def frozen_body(parameters: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    made = Plain(parameters, shape, classes)
    made.first.requires_grad_(requires_grad=False)
    return made


class Louder(Plain):
    """Its outputs are ten times as large at evaluation."""

    def forward(self, x: Tensor) -> Any:
        return super().forward(x) * (1.0 if self.training else 10.0)


def patched(parameters: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    """Return plain layers, one of which does something else."""
    made = nn.Sequential(
        nn.Flatten(),
        nn.Linear(torch.Size(shape).numel(), WIDTH),
        nn.ReLU(),
        nn.Linear(WIDTH, classes),
    )
    made[2].forward = torch.tanh  # type: ignore[method-assign]  # as some people do
    return made
