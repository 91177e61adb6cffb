"""Server halves of the FedOpt family (Reddi et al. 2021, Algorithm 2; FedAvgM: Hsu et al. 2019).

Δ is the mean of the cohort's changes x_k - x. Running statistics are averaged, not optimised.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeVar

import torch
from torch import Tensor

from pflbench.method import Rows, Setup
from pflbench_algorithms.fedopt import Adagrad, Adaptive, Momentum
from pflbench_algorithms.weighted_server import WeightedServer
from pflbench_algorithms.weighting import Weighted

P = TypeVar("P", bound=Weighted)


class FedOptServer(WeightedServer[P], ABC):
    """x ← x + move(Δ).

    Attributes
    ----------
    m
        [T] of the trained parameters, 0 at first.
    """

    def __init__(self, parameters: P, setup: Setup) -> None:
        super().__init__(parameters, setup)
        self.trained = setup.layout.trained
        self.m = torch.zeros_like(self.w[: self.trained])

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Move x by the optimiser, and average what is not trained."""
        x = self.w[: self.trained]
        super().aggregate(round, cohort, uploads)
        delta = self.w[: self.trained] - x
        self.w = torch.cat([x + self.move(delta), self.w[self.trained :]])

    @abstractmethod
    def move(self, delta: Tensor) -> Tensor:
        """Return what x changes by."""


class FedAdamServer(FedOptServer[Adaptive]):
    """m ← β₁m + (1 - β₁)Δ, v ← β₂v + (1 - β₂)Δ², x ← x + η m / (√v + τ).

    Attributes
    ----------
    v
        [T], τ² at first.
    """

    def __init__(self, parameters: Adaptive, setup: Setup) -> None:
        super().__init__(parameters, setup)
        self.v = torch.full_like(self.m, parameters.tau**2)

    def move(self, delta: Tensor) -> Tensor:
        """Update the moments; return η m / (√v + τ)."""
        p = self.parameters
        self.m = p.beta1 * self.m + (1 - p.beta1) * delta
        self.v = self.second_moment(delta.square())
        return p.server_lr * self.m / (self.v.sqrt() + p.tau)

    def second_moment(self, square: Tensor) -> Tensor:
        """Return the new v, given Δ²."""
        beta2 = self.parameters.beta2
        return beta2 * self.v + (1 - beta2) * square


class FedYogiServer(FedAdamServer):
    """FedAdam with v ← v - (1 - β₂) Δ² sign(v - Δ²)."""

    def second_moment(self, square: Tensor) -> Tensor:
        """Return the new v, given Δ²."""
        return self.v - (1 - self.parameters.beta2) * square * torch.sign(self.v - square)


class FedAdagradServer(FedOptServer[Adagrad]):
    """v ← v + Δ², x ← x + ηΔ / (√v + τ): β₁ = 0, as in the paper's experiments.

    Attributes
    ----------
    v
        [T], τ² at first.
    """

    def __init__(self, parameters: Adagrad, setup: Setup) -> None:
        super().__init__(parameters, setup)
        self.v = torch.full_like(self.m, parameters.tau**2)

    def move(self, delta: Tensor) -> Tensor:
        """Add the squares up; return ηΔ / (√v + τ)."""
        p = self.parameters
        self.v = self.v + delta.square()
        return p.server_lr * delta / (self.v.sqrt() + p.tau)


class FedAvgMServer(FedOptServer[Momentum]):
    """m ← βm + Δ, x ← x + ηm."""

    def move(self, delta: Tensor) -> Tensor:
        """Update the momentum; return ηm."""
        self.m = self.parameters.beta * self.m + delta
        return self.parameters.server_lr * self.m
