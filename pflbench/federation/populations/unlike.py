"""Clients that differ in labels, in inputs, or in the source of their samples.

Groups of clients with other labels or turned images are how clustered federated learning is
provoked, too: Sattler et al., "Clustered Federated Learning", 2019, arXiv 1910.01991 (permuted
labels); Ghosh et al., "An Efficient Framework for Clustered Federated Learning", 2020,
arXiv 2006.04088 (images turned by 180 degrees).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pflbench.errors import InputError
from pflbench.federation import Member, Population, Split, chosen
from pflbench.federation.images import check_images
from pflbench.federation.populations.population_settings import (
    MINORITY,
    OUTSIDERS,
    SHARE,
    Foreign,
    Groups,
    PermutedLabels,
)

_MOST_NUMBERS = 10_000_000
"""Coordinates of more numbers than this are not worth their memory."""


def permutation(classes: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a permutation [C] of the labels that is not the identity.

    Raises
    ------
    InputError
        No permutation exists: a single class.
    """
    if classes < 2:
        raise InputError("The labels of a single class cannot be permuted: expected two or more.")
    drawn = rng.permutation(classes)
    while (drawn == np.arange(classes)).all():  # with two classes, every other time
        drawn = rng.permutation(classes)
    return drawn


class PermutedLabelsPopulation(Population):
    """Each client of group 1 has its own permutation of the labels, in all of its splits."""

    parameters: PermutedLabels

    def groups(self, clients: int, rng: np.random.Generator) -> np.ndarray:
        """Choose a share of the clients."""
        return chosen(clients, self.parameters.share, rng, SHARE)

    def change(self, member: Member, split: Split, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Rename the classes."""
        return x, torch.from_numpy(self._names(member))[y]

    def coordinates(self, members: Sequence[Member], known: np.ndarray | None) -> np.ndarray | None:
        """Return the clients' permutation matrices [N, C²], scaled.

        The squared distance of two clients is then twice the share of the classes that they name
        otherwise: as far as two groups are from each other if they agree on none.
        """
        classes = members[0].classes
        if len(members) * classes**2 > _MOST_NUMBERS:
            return None
        matrices = [np.eye(classes)[self._names(member)].ravel() for member in members]
        own = np.stack(matrices) / np.sqrt(classes)
        return own if known is None else np.concatenate([known, own], axis=1)

    @staticmethod
    def _names(member: Member) -> np.ndarray:
        if not member.group:
            return np.arange(member.classes)
        return permutation(member.classes, member.own())


class ForeignPopulation(Population):
    """The clients of group 1 have samples of another data set, with the same labels."""

    parameters: Foreign

    def other(self) -> str:
        """Return the other data set's name."""
        return self.parameters.dataset

    def groups(self, clients: int, rng: np.random.Generator) -> np.ndarray:
        """Choose a share of the clients, leaving one at least."""
        if clients < 2:
            raise InputError("foreign needs at least 2 clients: at least one keeps its own data.")
        return chosen(clients, self.parameters.share, rng, OUTSIDERS)

    def change(self, member: Member, split: Split, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Draw samples with the client's labels."""
        return member.draw(split, y)


class GroupsPopulation(Population):
    """The clients of group 1, a minority, differ from the others, all in the same way."""

    parameters: Groups

    def groups(self, clients: int, rng: np.random.Generator) -> np.ndarray:
        """Choose a share of the clients, at most half of them."""
        if clients < 2:
            raise InputError("groups needs at least 2 clients, for a majority and a minority.")
        return chosen(clients, self.parameters.minority, rng, MINORITY)

    def change(self, member: Member, split: Split, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Rename the classes as all of the group do, or turn the images upside down."""
        if self.parameters.change == "labels":
            return x, torch.from_numpy(permutation(member.classes, member.common()))[y]
        check_images(tuple(x.shape[1:]), "groups(change=turn) turns")
        return torch.rot90(x, 2, (-2, -1)), y

    def coordinates(self, members: Sequence[Member], known: np.ndarray | None) -> np.ndarray | None:
        """Add a coordinate for each group.

        For rotated images this is unknown if clients already differ by their inputs, perhaps by an
        angle.
        """
        if self.parameters.change == "turn" and known is not None:
            return None
        return super().coordinates(members, known)
