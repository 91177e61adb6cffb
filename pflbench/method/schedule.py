"""The learning rate over the rounds, and the clipping of gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi

import torch
from torch import Tensor


@dataclass(frozen=True)
class Schedule:
    """A constant rate, after `warmup` rounds in which it rises evenly from η / (warmup + 1).

    Subclasses define how it continues.
    """

    warmup: int = 0

    def factor(self, round: int) -> float:
        """Return the learning rate of a round (the first is 0) over that of the scenario."""
        if round < self.warmup:
            return (round + 1) / (self.warmup + 1)
        return self.after(round - self.warmup)

    def after(self, round: int) -> float:
        """Return the factor of a round, counted from the end of the warm-up."""
        return 1.0


@dataclass(frozen=True)
class Step(Schedule):
    """η times `gamma` after every `every` rounds."""

    every: int = 30
    gamma: float = 0.1

    def after(self, round: int) -> float:
        """See `Schedule`."""
        return self.gamma ** (round // self.every)


@dataclass(frozen=True)
class MultiStep(Schedule):
    """η times `gamma` after each of the rounds `at`."""

    at: Sequence[int] = ()
    gamma: float = 0.1

    def after(self, round: int) -> float:
        """See `Schedule`."""
        return self.gamma ** sum(round >= mark for mark in self.at)


@dataclass(frozen=True)
class Exponential(Schedule):
    """η times `gamma` after every round."""

    gamma: float = 0.99

    def after(self, round: int) -> float:
        """See `Schedule`."""
        return self.gamma**round


@dataclass(frozen=True)
class Cosine(Schedule):
    """From η to `floor` times η along half a cosine over `rounds` rounds, then constant.

    Loshchilov and Hutter 2017, arXiv 1608.03983, equation 5, without restarts.
    """

    rounds: int = 100
    floor: float = 0.0

    def after(self, round: int) -> float:
        """See `Schedule`."""
        share = min(round / self.rounds, 1.0)
        return self.floor + (1 - self.floor) * (1 + cos(pi * share)) / 2


@dataclass(frozen=True)
class Clip:
    """Clipping of a client's gradient, as `torch.nn.utils.clip_grad_norm_` and `_value_`.

    Attributes
    ----------
    norm
        Largest Euclidean norm of the whole gradient, or None.
    value
        Largest size of one of its entries, or None; applied first.
    """

    norm: float | None = None
    value: float | None = None

    def __bool__(self) -> bool:
        return self.norm is not None or self.value is not None

    def __call__(self, g: Tensor) -> Tensor:
        """Return the clipped gradient [..., T]."""
        if self.value is not None:
            g = g.clamp(-self.value, self.value)
        if self.norm is not None:
            length = torch.linalg.vector_norm(g, dim=-1, keepdim=True)
            g = g * (self.norm / (length + 1e-6)).clamp(max=1.0)
        return g
