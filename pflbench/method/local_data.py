"""What a client trains on, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


class Samples(NamedTuple):
    """Samples of one client.

    Attributes
    ----------
    x
        [n, *shape] inputs, of a row's type; int64 if they are tokens.
    y
        [n] int64 labels.
    mask
        [n] of a row's type: 1 for a sample, 0 for padding (clients that train together may differ
        in size). `Task.loss` applies it; your own code must, too.
    """

    x: Tensor
    y: Tensor
    mask: Tensor


class LocalData(NamedTuple):
    """The data that a client's code may see: its training and validation samples, nothing else."""

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
