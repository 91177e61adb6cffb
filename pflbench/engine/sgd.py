"""The local optimiser on whole matrices: SGD with momentum and weight decay, in place."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import sgd as torch_sgd

from pflbench.method import Sgd


def sgd_step_(w: Tensor, g: Tensor, momentum: Tensor, sgd: Sgd) -> None:
    """Do m ← μm + (g + δw), w ← w - ηm on contiguous rows: `torch.optim.SGD`'s rule.

    One pass over memory, by PyTorch's fused kernel, where it has one for the type.
    """
    torch_sgd.sgd(
        [w], [g], [momentum],
        fused=w.dtype in (torch.float32, torch.float64) and w.device.type in ("cpu", "cuda"),
        weight_decay=sgd.weight_decay, momentum=sgd.momentum, lr=sgd.lr,
        dampening=0.0, nesterov=False, maximize=False,
    )  # fmt: skip


def momentum_(momentum: Tensor, w: Tensor, g: Tensor, sgd: Sgd) -> None:
    """Do m ← μm + (g + δw) alone."""
    torch.add(g, momentum, alpha=sgd.momentum, out=momentum)
    if sgd.weight_decay:
        momentum.add_(w, alpha=sgd.weight_decay)
