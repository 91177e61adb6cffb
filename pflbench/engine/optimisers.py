"""The optimisers of `torch.optim` except SGD, as pure functions on rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pflbench.errors import InputError
from pflbench.method import Optimiser, Sgd, State
from pflbench.schema.local_optimizers import (
    AdagradSettings,
    AdamSettings,
    RmsPropSettings,
    SgdSettings,
    YogiSettings,
)


def _counted(state: State) -> tuple[Tensor, Tensor]:
    """Return the number of this step, [...], and the same [..., 1] to compute with."""
    t = state["steps_done"] + 1
    return t, t.unsqueeze(-1)


@dataclass(frozen=True)
class Adam(Optimiser):
    """Adam with L2 regularisation (Kingma and Ba 2015, arXiv 1412.6980, Algorithm 1).

    Attributes
    ----------
    beta1, beta2
        Decay of the first and the second moment.
    eps
        Added to the root of the second moment.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def init(self, w: Tensor) -> State:
        """Return both moments, zero, and the steps done."""
        return {
            "first_moment": torch.zeros_like(w),
            "second_moment": torch.zeros_like(w),
            "steps_done": torch.zeros_like(w[..., 0]),
        }

    def step(self, w: Tensor, g: Tensor, state: State, lr: float) -> tuple[Tensor, State]:
        """Return w - η m̂ / (√v̂ + ε)."""
        return self._adapted(w, g + self.weight_decay * w, state, lr)

    def _adapted(self, w: Tensor, g: Tensor, state: State, lr: float) -> tuple[Tensor, State]:
        count, t = _counted(state)
        m = torch.lerp(state["first_moment"], g, 1 - self.beta1)
        v = self._second_moment(state["second_moment"], g)
        corrected = v.sqrt() / (1 - self.beta2**t).sqrt() + self.eps
        w = w - (lr / (1 - self.beta1**t)) * (m / corrected)
        return w, {"first_moment": m, "second_moment": v, "steps_done": count}

    def _second_moment(self, v: Tensor, g: Tensor) -> Tensor:
        return self.beta2 * v + (1 - self.beta2) * g * g


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101)."""

    def step(self, w: Tensor, g: Tensor, state: State, lr: float) -> tuple[Tensor, State]:
        """Return (1 - ηδ)w - η m̂ / (√v̂ + ε)."""
        return self._adapted(w * (1 - lr * self.weight_decay), g, state, lr)


@dataclass(frozen=True)
class Yogi(Adam):
    """Yogi (Zaheer et al., NeurIPS 2018): Adam whose second moment changes additively.

    v ← v - (1 - β₂) sign(v - g²) g², from v = `initial`, with Adam's corrections left out as in
    Reddi et al. 2021 (arXiv 2003.00295), Algorithm 2.

    Attributes
    ----------
    initial
        Initial value of both moments' accumulators: the second one.
    """

    eps: float = 1e-3
    initial: float = 1e-6

    def init(self, w: Tensor) -> State:
        """Return both moments, and the steps done."""
        return {**super().init(w), "second_moment": torch.full_like(w, self.initial)}

    def _adapted(self, w: Tensor, g: Tensor, state: State, lr: float) -> tuple[Tensor, State]:
        count, _ = _counted(state)
        m = torch.lerp(state["first_moment"], g, 1 - self.beta1)
        squared, v = g * g, state["second_moment"]
        v = v - (1 - self.beta2) * torch.sign(v - squared) * squared
        w = w - lr * m / (v.sqrt() + self.eps)
        return w, {"first_moment": m, "second_moment": v, "steps_done": count}


@dataclass(frozen=True)
class Adagrad(Optimiser):
    """Adagrad (Duchi, Hazan and Singer, JMLR 2011), as `torch.optim.Adagrad`.

    Attributes
    ----------
    lr_decay
        The rate of step t is η / (1 + (t - 1) lr_decay).
    initial
        Initial value of the sum of squares.
    eps
        Added to its root.
    """

    lr_decay: float = 0.0
    initial: float = 0.0
    eps: float = 1e-10

    def init(self, w: Tensor) -> State:
        """Return the sum of squared gradients, and the steps done."""
        return {
            "squares": torch.full_like(w, self.initial),
            "steps_done": torch.zeros_like(w[..., 0]),
        }

    def step(self, w: Tensor, g: Tensor, state: State, lr: float) -> tuple[Tensor, State]:
        """Return w - η g / (√Σg² + ε)."""
        count, t = _counted(state)
        g = g + self.weight_decay * w
        squares = state["squares"] + g * g
        rate = lr / (1 + (t - 1) * self.lr_decay)
        w = w - rate * g / (squares.sqrt() + self.eps)
        return w, {"squares": squares, "steps_done": count}


@dataclass(frozen=True)
class RmsProp(Optimiser):
    """RMSprop (Tieleman and Hinton 2012), as `torch.optim.RMSprop`.

    Attributes
    ----------
    alpha
        Decay of the mean square.
    eps
        Added to its root.
    momentum
        Momentum of the scaled gradients.
    centered
        Whether the mean square is centred by the mean.
    """

    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    centered: bool = False

    def init(self, w: Tensor) -> State:
        """Return the mean square and, if they are used, the mean and the momentum."""
        names = ["mean_square"]
        names += ["mean"] if self.centered else []
        names += ["momentum"] if self.momentum else []
        return {name: torch.zeros_like(w) for name in names}

    def step(self, w: Tensor, g: Tensor, state: State, lr: float) -> tuple[Tensor, State]:
        """Return w - η g / (√v + ε)."""
        g = g + self.weight_decay * w
        new = {"mean_square": self.alpha * state["mean_square"] + (1 - self.alpha) * g * g}
        variance = new["mean_square"]
        if self.centered:
            new["mean"] = torch.lerp(state["mean"], g, 1 - self.alpha)
            variance = variance - new["mean"] ** 2
        scaled = g / (variance.sqrt() + self.eps)
        if self.momentum:
            scaled = new["momentum"] = self.momentum * state["momentum"] + scaled
        return w - lr * scaled, new


# The records' makers: (parameters, learning rate, weight decay, momentum) to an optimiser


def sgd(p: SgdSettings, lr: float, weight_decay: float, momentum: float) -> Sgd:
    """Return SGD.

    Raises
    ------
    InputError
        Nesterov's momentum is given without momentum, or with dampening.
    """
    if p.nesterov and (momentum <= 0 or p.dampening != 0):
        raise InputError(
            f"sgd(nesterov=true) needs momentum > 0 and dampening 0: momentum is {momentum:g}, "
            f"dampening {p.dampening:g}."
        )
    return Sgd(lr, momentum, weight_decay, p.dampening, p.nesterov, kept=p.state == "kept")


def adam(p: AdamSettings, lr: float, weight_decay: float, momentum: float) -> Adam:
    """Return Adam."""
    return Adam(lr, weight_decay, p.beta1, p.beta2, p.eps, kept=p.state == "kept")


def adamw(p: AdamSettings, lr: float, weight_decay: float, momentum: float) -> AdamW:
    """Return AdamW."""
    return AdamW(lr, weight_decay, p.beta1, p.beta2, p.eps, kept=p.state == "kept")


def adagrad(p: AdagradSettings, lr: float, weight_decay: float, momentum: float) -> Adagrad:
    """Return Adagrad."""
    return Adagrad(lr, weight_decay, p.lr_decay, p.initial, p.eps, kept=p.state == "kept")


def rmsprop(p: RmsPropSettings, lr: float, weight_decay: float, momentum: float) -> RmsProp:
    """Return RMSprop."""
    return RmsProp(lr, weight_decay, p.alpha, p.eps, p.momentum, p.centered, kept=p.state == "kept")


def yogi(p: YogiSettings, lr: float, weight_decay: float, momentum: float) -> Yogi:
    """Return Yogi."""
    return Yogi(lr, weight_decay, p.beta1, p.beta2, p.eps, p.initial, kept=p.state == "kept")
