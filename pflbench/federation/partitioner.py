"""The interface of a partitioner: who gets which samples, and how they look there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from pflbench.federation.splits import Split


@dataclass(frozen=True, eq=False)
class PartitionRequest:
    """What is to be given out.

    Attributes
    ----------
    labels
        Split to [n] int64 labels of the samples that may be given out.
    owners
        Split to [n] client numbers, where the data knows its clients; else None.
    clients
        Number of clients N.
    classes
        Number of classes C.
    names
        What the clients that the data know are called, if they are named; for messages.
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
        Whether it leaves samples with the clients that the data knows. Only such a partitioner
        suits data that are divided among clients already.
    """

    keeps_clients: bool = False

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

    def transform(self, client: int, x: Tensor) -> Tensor:
        """Change how client `client` sees its inputs x [n, *shape] in [0, 1] (feature shift)."""
        return x

    def coordinates(self, clients: int) -> np.ndarray | None:
        """Return [N, k] points, near each other for clients whose data are alike, if known."""
        return None
