"""What a client knows of the learning problem: the network as a function of a row, and the loss."""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value

from pflbench.method.layout import Layout
from pflbench.method.products import products_in


class Samples(NamedTuple):
    """Samples of one client.

    Attributes
    ----------
    x
        [n, *shape] inputs, of a row's type.
    y
        [n] int64 labels.
    mask
        [n] of a row's type: 1 for a sample, 0 for padding (clients that train together may differ
        in size). `Task.loss` heeds it; code of your own must, too.
    """

    x: Tensor
    y: Tensor
    mask: Tensor


class LocalData(NamedTuple):
    """What a client's own code may see: its training and validation samples, nothing else."""

    train: Samples
    val: Samples


@dataclass(frozen=True)
class LocalBudget:
    """How long a client trains in a round: exactly one of epochs and steps is set.

    With `epochs`, each epoch is a fresh permutation cut into batches, the last one possibly
    short. With `steps`, every step draws a batch of min(batch_size, n) samples without
    replacement.
    """

    batch_size: int
    epochs: int | None = None
    steps: int | None = None


@dataclass(frozen=True)
class Sgd:
    """The clients' optimiser: SGD with momentum and weight decay, fresh in every round."""

    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0


class Task:
    """The learning problem, the same for every client.

    Attributes
    ----------
    module
        The network. Its `forward` is used; of its parameters, only those that are not trained.
    layout
        The columns of a row.
    initial
        [P] the initial model that every method and every client shares.
    classes
        Number of classes C.
    sgd, budget
        The scenario's local optimiser and local budget.
    products
        Type of the network's matrix products and convolutions, if it is not that of a row.
    """

    def __init__(
        self,
        module: nn.Module,
        layout: Layout,
        initial: Tensor,
        classes: int,
        sgd: Sgd,
        budget: LocalBudget,
        products: torch.dtype | None = None,
    ) -> None:
        self.module, self.layout, self.initial = module, layout, initial
        self._copies = threading.local()
        self.classes, self.sgd, self.budget, self.products = classes, sgd, budget, products

    def logits(self, w: Tensor, x: Tensor, *, training: bool = True) -> Tensor:
        """Return the network's outputs [n, C] with parameters w [P] on inputs x [n, *shape].

        The network is in training mode, or in evaluation mode if it is not `training`.
        """
        module, tensors = self._own(training), self.layout.unflatten(w)
        if self.products is None:
            out: Tensor = functional_call(module, tensors, (x,))
            return out
        with products_in(self.products, w.device):
            out = functional_call(module, tensors, (x,))
        return out.to(w.dtype)

    def _own(self, training: bool) -> nn.Module:
        """Return this thread's network: functional_call swaps its parameters for a moment."""
        name = "training" if training else "evaluating"
        if not hasattr(self._copies, name):
            shared = {id(p): p for p in self.module.parameters()}  # only the structure is copied
            setattr(self._copies, name, copy.deepcopy(self.module, shared).train(training))
        own: nn.Module = getattr(self._copies, name)
        return own

    def loss(self, w: Tensor, samples: Samples) -> Tensor:
        """Return the mean cross entropy (a scalar) of the model w [P] over the samples."""
        losses = F.cross_entropy(self.logits(w, samples.x), samples.y, reduction="none")
        return (losses * samples.mask).sum() / samples.mask.sum().clamp(min=1.0)

    def gradient(self, w: Tensor, samples: Samples) -> tuple[Tensor, Tensor]:
        """Return (∇loss(w) [P], loss)."""
        gradient, value = grad_and_value(self.loss)(w, samples)
        return gradient, value

    def to(self, device: torch.device, dtype: torch.dtype = torch.float32) -> Task:
        """Return the task with its tensors on a device."""
        return Task(
            self.module.to(device=device, dtype=dtype),
            self.layout,
            self.initial.to(device=device, dtype=dtype),
            self.classes,
            self.sgd,
            self.budget,
            self.products,
        )
