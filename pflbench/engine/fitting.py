"""Whether a network is fit for a run, and with which engine: checked before training."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pflbench.engine.choose import choose_engine
from pflbench.engine.convolutional import ConvolutionalGradient
from pflbench.engine.initial import own_weights
from pflbench.engine.kernels import DenseKernel
from pflbench.engine.mapping import unmapped
from pflbench.engine.probe import probe, spread
from pflbench.engine.tokens import check_tokens
from pflbench.errors import InputError
from pflbench.method import Layout, LocalBudget, Nature, Sgd, Task


class Fit(NamedTuple):
    """How a network fits a run.

    Attributes
    ----------
    engine
        "stacked" or "sequential".
    notice
        One line that the user must see, or "".
    nature
        The network's properties in training mode.
    """

    engine: str
    notice: str
    nature: Nature


def fit_engine(
    engine: str,
    module: nn.Module,
    layout: Layout,
    x: Tensor,
    classes: int,
    *,
    device: torch.device,
    types: tuple[torch.dtype, torch.dtype | None],
    name: str = "",
) -> Fit:
    """Probe a network on samples x [n, *shape] of the data, and resolve the engine.

    "auto" is "sequential" for a network that cannot be mapped over clients.

    Raises
    ------
    InputError
        The network is not fit for a run, or not for the requested engine.
    """
    check_tokens(module, x, name or type(module).__name__)
    some, (dtype, products) = spread(x), types
    # Of plain layers alone, whose outputs follow from sample and weights, and which are mapped.
    plain = (DenseKernel.of(module, layout) or ConvolutionalGradient.of(module, layout)) is not None
    nature = probe(
        module, layout, some, classes, name=name, device=device, dtype=dtype, plain=plain
    )
    chosen = choose_engine(engine, module, device)
    if chosen != "stacked" or plain:
        return Fit(chosen, "", nature)
    w = own_weights(module, layout, dtype)
    budget = LocalBudget(len(some), steps=1)
    task = Task(
        copy.deepcopy(module), layout, w, classes, Sgd(0.1), budget, products, nature=nature
    )
    reason = unmapped(task.to(device, dtype), some)
    if not reason:
        return Fit(chosen, "", nature)
    what = (
        f"The model {name or type(module).__name__} cannot be mapped over clients by "
        f"torch.func.vmap ({reason})"
    )
    if engine == chosen:
        raise InputError(f"{what}: expected the engine 'sequential' (--engine sequential).")
    return Fit("sequential", f"{what}: the engine is 'sequential'.", nature)
