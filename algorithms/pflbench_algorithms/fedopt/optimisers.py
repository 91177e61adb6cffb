"""Adam and Yogi of Algorithm 2 (Reddi et al. 2021): moments are not corrected for their start.

`torch.optim` corrects Adam's moments. The others of the family are the suite's own optimizers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pflbench.method import Optimiser, State


@dataclass(frozen=True)
class PlainAdam(Optimiser):
    """m ← β₁m + (1 - β₁)g, v ← β₂v + (1 - β₂)g², w ← w - η m / (√v + τ).

    Attributes
    ----------
    beta1, beta2
        Decay of the first and the second moment.
    tau
        Added to the root of the second moment, whose first value is τ².
    """

    beta1: float = 0.9
    beta2: float = 0.99
    tau: float = 1e-3

    def init(self, w: Tensor) -> State:
        """Return m = 0 and v = τ²."""
        return {"m": torch.zeros_like(w), "v": torch.full_like(w, self.tau**2)}

    def step(self, w: Tensor, g: Tensor, state: State, lr: float) -> tuple[Tensor, State]:
        """Return w - η m / (√v + τ)."""
        m = self.beta1 * state["m"] + (1 - self.beta1) * g
        v = self.second_moment(state["v"], g.square())
        return w - lr * m / (v.sqrt() + self.tau), {"m": m, "v": v}

    def second_moment(self, v: Tensor, square: Tensor) -> Tensor:
        """Return the new v, given g²."""
        return self.beta2 * v + (1 - self.beta2) * square


@dataclass(frozen=True)
class PlainYogi(PlainAdam):
    """The same with v ← v - (1 - β₂) g² sign(v - g²)."""

    def second_moment(self, v: Tensor, square: Tensor) -> Tensor:
        """Return the new v, given g²."""
        return v - (1 - self.beta2) * square * torch.sign(v - square)
