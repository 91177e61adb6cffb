"""Mean features of classes: prototypes. Features are the inputs of the last layer, flat."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pflbench.errors import InputError
from pflbench.method import Layout, Samples


def feature_size(layout: Layout) -> int:
    """Return the number D of features.

    Raises
    ------
    InputError
        The network's head is not one layer with a weight [C, D].
    """
    name = f"{layout.head}weight"
    if name not in layout.names:
        raise InputError(
            "The network's features are not known: expected a head that is one layer, such as "
            "'fc2.'."
        )
    return prod(layout.shapes[layout.names.index(name)][1:])


def class_sums(features: Tensor, samples: Samples, classes: int) -> tuple[Tensor, Tensor]:
    """Return each class's sum of features [C, D] and its number of samples [C].

    Parameters
    ----------
    features
        [n, ...] of the samples. A label of -1 counts for no class.
    """
    known = (samples.y >= 0).to(features) * samples.mask
    member = F.one_hot(samples.y.clamp(min=0), classes).to(features) * known.unsqueeze(1)
    return member.T @ features.flatten(1), member.sum(dim=0)


class ClassMeans(NamedTuple):
    """Global mean features of classes: averages of those that clients upload.

    Attributes
    ----------
    means
        [C, D] so far, 0 of a class that has none.
    known
        [C] 1 for a class that has one, or 0.
    """

    means: Tensor
    known: Tensor

    def averaged(self, means: Tensor, weight: Tensor) -> ClassMeans:
        """Return the averages of clients' means; a class that no client has keeps its mean.

        Parameters
        ----------
        means
            [K, C, D].
        weight
            [K, C] of each client in a class's average, up to a factor; 0 if it has no mean.
        """
        weight = weight.clamp(min=0)  # noise may be negative
        total = weight.sum(dim=0)
        here = total > 0
        shares = weight / torch.where(here, total, 1.0)
        mean = torch.einsum("kc,kcd->cd", shares, means)
        return ClassMeans(
            torch.where(here.unsqueeze(1), mean, self.means),
            torch.maximum(self.known, here.to(self.known)),
        )


def class_means(sums: Tensor, counts: Tensor) -> Tensor:
    """Return the mean features [..., C, D] of classes, 0 of a class without samples."""
    return sums / torch.where(counts > 0, counts, 1.0).unsqueeze(-1)
