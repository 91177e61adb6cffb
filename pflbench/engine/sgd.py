"""The local optimiser on whole matrices: SGD with momentum and weight decay, in place."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor
from torch.optim import sgd as torch_sgd

from pflbench.method import Sgd

Towards = tuple[Tensor, Tensor]
"""Strengths [K], and models [K, P] that rows are moved towards."""


def descend_(
    w: Tensor, momentum: Tensor, sgd: Sgd, proximal: Towards | None, pull: Towards | None
) -> None:
    """Do m ← m + δw + σ(w - a), w ← w - ρ(w - r) - ηm on rows whose m is μm + g already.

    Each term is one pass over memory: two for plain SGD with weight decay.

    Parameters
    ----------
    w, momentum
        [K, P], changed in place.
    proximal, pull
        (σ, a) and (ρ, r).
    """
    if proximal is not None:
        strength, towards = proximal[0].unsqueeze(1), proximal[1]
        momentum.addcmul_(w, strength + sgd.weight_decay)
        momentum.addcmul_(towards, strength, value=-1.0)
    elif sgd.weight_decay:
        momentum.add_(w, alpha=sgd.weight_decay)
    if pull is not None:
        w.lerp_(pull[1], pull[0].unsqueeze(1))
    w.add_(momentum, alpha=-sgd.lr)


def step_(
    w: Tensor,
    g: Tensor,
    momentum: Tensor,
    sgd: Sgd,
    proximal: Towards | None = None,
    pull: Towards | None = None,
) -> None:
    """Do m ← μm + g, then the same as `descend_`.

    Without further terms this is `torch.optim.SGD`'s rule: one pass over memory, by PyTorch's
    fused kernel, if it has one for the type.
    """
    if proximal is not None or pull is not None:
        torch.add(g, momentum, alpha=sgd.momentum, out=momentum)
        descend_(w, momentum, sgd, proximal, pull)
        return
    torch_sgd.sgd(
        [w],
        [g.contiguous()],
        [momentum],
        fused=w.dtype in (torch.float32, torch.float64) and w.device.type in ("cpu", "cuda"),
        weight_decay=sgd.weight_decay,
        momentum=sgd.momentum,
        lr=sgd.lr,
        dampening=0.0,
        nesterov=False,
        maximize=False,
    )


_LEAST = 1e-12
"""Roots c below it put u so far away that gradients, divided by c, could overflow a float32."""


@dataclass(frozen=True)
class Heading:
    """SGD with momentum and weight decay in one pass: w heads for a point u, m = c(w - u).

    Put into m ← μm + g + δw, w ← w - ηm, that is, with s = 1 + cη and the smaller root c of
    μηc² - (1 - μ - ηδ)c + δ = 0, for which w drops out of the first line,

        u ← sμu - (s/c)g,  w ← w + (cη/s)(u - w):

    the same numbers to rounding, and one pass over memory after the gradient's product instead
    of two.

    Attributes
    ----------
    keep, gain
        sμ and -s/c.
    share
        cη/s.
    c
        The root.
    """

    keep: float
    gain: float
    share: float
    c: float

    @staticmethod
    def of(sgd: Sgd) -> Heading | None:
        """Return it, or None without weight decay worth it or where the root is not real."""
        mu, eta, delta = sgd.momentum, sgd.lr, sgd.weight_decay
        b = 1.0 - mu - eta * delta
        if delta <= 0.0 or b <= 0.0 or b * b < 4.0 * mu * eta * delta:
            return None
        c = 2.0 * delta / (b + sqrt(b * b - 4.0 * mu * eta * delta))
        if c < _LEAST:
            return None
        s = 1.0 + c * eta
        return Heading(s * mu, -s / c, c * eta / s, c)

    def point_(self, momentum: Tensor, w: Tensor) -> None:
        """Turn m into u, in place."""
        momentum.mul_(-1.0 / self.c).add_(w)

    def momentum_(self, point: Tensor, w: Tensor) -> None:
        """Turn u into m, in place."""
        point.neg_().add_(w).mul_(self.c)
