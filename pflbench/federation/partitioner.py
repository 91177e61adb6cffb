"""The interface of a partitioner: which client gets which samples, and how it sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from pflbench.federation.pool import Pool
from pflbench.federation.splits import Split


@dataclass(frozen=True, eq=False)
class PartitionRequest:
    """The samples to assign.

    Attributes
    ----------
    labels
        Split to [n] int64 labels of the samples that may be given out.
    owners
        Split to [n] client numbers, if the data names its clients; else None.
    clients
        Number of clients N.
    classes
        Number of classes C.
    names
        The clients' names in the data, if any; for messages.
    """

    labels: Mapping[Split, np.ndarray]
    owners: Mapping[Split, np.ndarray] | None
    clients: int
    classes: int
    names: tuple[str, ...] | None = None


class Partitioner:
    """Base of all partitioners: one object a federation, made from its parameters.

    Attributes
    ----------
    keeps_clients
        Whether it keeps the data's own clients. Only such a partitioner fits data that are already
        divided among clients.
    train_share
        Of a partitioner that divides the merged training and test data (`divide`): the share of a
        client's samples for training, of which a quarter validates. None for all others, which
        give out each split on its own (`assign`).
    standardises
        Whether each number of a sample is standardised over all merged samples.
    fixed_clients
        Number of clients of a partitioner that names every sample itself (`place`); None for all
        others.
    names
        The clients' names of such a partitioner, or None.
    """

    keeps_clients: bool = False
    train_share: float | None = None
    standardises: bool = False
    fixed_clients: int | None = None
    names: tuple[str, ...] | None = None

    def __init__(self, parameters: Any) -> None:
        self.parameters = parameters

    def assign(
        self, request: PartitionRequest, rng: np.random.Generator
    ) -> Mapping[Split, list[np.ndarray]]:
        """Give out the samples of every split, the same distribution in each.

        Returns
        -------
        Split to N arrays of sample indices; no index twice. Clients may come out empty here:
        the caller repairs that or says that it cannot.

        Raises
        ------
        pflbench.errors.InputError
            The partition cannot be made.
        """
        raise NotImplementedError

    def divide(
        self, labels: np.ndarray, clients: int, classes: int, rng: np.random.Generator
    ) -> Sequence[np.ndarray]:
        """Give out the merged samples of training and test, for a partitioner with `train_share`.

        Parameters
        ----------
        labels
            [n] int64 labels of all samples.

        Returns
        -------
        N arrays of sample indices; no index twice.

        Raises
        ------
        pflbench.errors.InputError
            The partition cannot be made.
        """
        raise NotImplementedError

    def place(
        self, pool: Pool, rng: np.random.Generator
    ) -> tuple[Pool, Mapping[Split, list[np.ndarray]]]:
        """Say which samples are whose in which split, for a partitioner with `fixed_clients`.

        Returns
        -------
        A pool, and split to N arrays of indices into its `samples` of that split.

        Raises
        ------
        pflbench.errors.InputError
            The partition does not fit the samples.
        """
        raise NotImplementedError

    def transform(self, client: int, x: Tensor) -> Tensor:
        """Change how client `client` sees its inputs x [n, *shape] in [0, 1] (feature shift)."""
        return x

    def coordinates(self, clients: int) -> np.ndarray | None:
        """Return [N, k] points, close to each other for clients with similar data, if known."""
        return None
