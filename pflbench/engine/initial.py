"""The initial model that all methods and clients share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pflbench.method import Layout
from pflbench.streams import torch_stream


def initial_model(module: nn.Module, layout: Layout, seed: int) -> Tensor:
    """Return the initial row [P] that all methods and clients share, by PyTorch's own rules.

    Drawn from the stream (seed, "init"): methods compared on a seed start from one model.
    """
    fresh = torch_stream(seed, "init").initial_seed()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fresh)
        for part in module.modules():
            reset = getattr(part, "reset_parameters", None)
            if callable(reset):
                reset()
    return layout.flatten({n: p.detach() for n, p in module.named_parameters()}).clone()
