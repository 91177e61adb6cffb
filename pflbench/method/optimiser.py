"""A local optimiser: pure functions on the trained columns of a row, as in optax.

A gradient step of one client is `step(w, g, state, lr)`; `init(w)` returns the first state, fresh
in every round unless the scenario keeps it. The same code serves one row and rows: a tensor of
the state is [T] or, if it is one number, [], and with a leading K for rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor

State = dict[str, Tensor]
"""Named tensors that belong to one client."""


@dataclass(frozen=True)
class Optimiser(ABC):
    """Base of local optimisers.

    Attributes
    ----------
    lr
        Learning rate of the first round; a schedule may change it.
    weight_decay
        Coefficient δ of the L2 term, or of decoupled decay, as the optimiser defines it.
    kept
        Whether a client's state lives on from round to round; else it is fresh in each.
    """

    lr: float
    weight_decay: float = 0.0
    kept: bool = field(default=False, kw_only=True)

    def init(self, w: Tensor) -> State:
        """Return the state before the first step at w [..., T]."""
        return {}

    @abstractmethod
    def step(self, w: Tensor, g: Tensor, state: State, lr: float) -> tuple[Tensor, State]:
        """Return w [..., T] and the state after a step along the gradient g [..., T]."""


@dataclass(frozen=True)
class Sgd(Optimiser):
    """SGD with momentum and weight decay, as `torch.optim.SGD`.

    Attributes
    ----------
    momentum, dampening
        m ← μm + (1 - τ)g, and m ← g in the first step of a round, or of all if it is kept.
    nesterov
        Whether to step along g + μm in place of m.
    """

    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False

    def __init__(
        self,
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        *,
        kept: bool = False,
    ) -> None:
        super().__init__(lr, weight_decay, kept=kept)
        for name, value in (
            ("momentum", momentum),
            ("dampening", dampening),
            ("nesterov", nesterov),
        ):
            object.__setattr__(self, name, value)

    @property
    def plain(self) -> bool:
        """Whether it is SGD with at most momentum and weight decay, which has kernels."""
        return not self.dampening and not self.nesterov

    def init(self, w: Tensor) -> State:
        """Return the momentum, zero, and with dampening how many steps were done."""
        state = {"momentum": torch.zeros_like(w)}
        if self.dampening:
            state["steps_done"] = torch.zeros_like(w[..., 0])
        return state

    def step(self, w: Tensor, g: Tensor, state: State, lr: float) -> tuple[Tensor, State]:
        """Return w - η(m, or g + μm)."""
        g = g + self.weight_decay * w
        new = dict(state)
        gain: float | Tensor = 1.0
        if self.dampening:
            later = (state["steps_done"] > 0).to(w.dtype).unsqueeze(-1)
            gain = 1.0 - self.dampening * later
            new["steps_done"] = state["steps_done"] + 1
        momentum = self.momentum * state["momentum"] + gain * g
        new["momentum"] = momentum
        direction = g + self.momentum * momentum if self.nesterov else momentum
        return w - lr * direction, new
