"""The local optimiser on whole matrices: SGD with momentum and weight decay, in place."""

from __future__ import annotations

from torch import Tensor

from pflbench.method import Sgd


def sgd_step_(w: Tensor, g: Tensor, momentum: Tensor, sgd: Sgd) -> None:
    """Do m ← μm + (g + δw), w ← w - ηm on rows; `torch.optim.SGD`'s rule without dampening."""
    momentum.mul_(sgd.momentum).add_(g)
    if sgd.weight_decay:
        momentum.add_(w, alpha=sgd.weight_decay)
    w.add_(momentum, alpha=-sgd.lr)
