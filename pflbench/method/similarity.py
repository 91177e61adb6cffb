"""Similarity of two clients: the description that each uploads once, and its comparison."""

from __future__ import annotations

from torch import Tensor

from pflbench.method.client import Message
from pflbench.method.local_data import Samples
from pflbench.method.server import Rows, Setup
from pflbench.method.task import Task


class Similarity:
    """Base of all measures: one object at the clients, one at the server.

    `describe` keeps to the rules of mapped client code; it is given one client's data.

    Attributes
    ----------
    dim
        Number of directions of a client's data, for measures that upload directions.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim

    @property
    def numbers_per_pair(self) -> int:
        """Numbers that are held for each pair of clients while it is compared."""
        return 1

    # At a client

    def describe(self, data: Samples, task: Task) -> Message:
        """Return a client's description of its training data."""
        return {}

    def describe_inputs(self, data: Samples, task: Task) -> Message | None:
        """Return the description of a client without labels, to be compared with labelled ones.

        None if labels are needed.
        """
        return None

    # At the server

    def prepare(self, told: Rows, clients: Tensor | None, setup: Setup) -> Rows:
        """Return the compared form [K, ...] of K clients' descriptions, given stacked.

        `clients` are their numbers [K], or None for new clients, which have none.
        """
        return told

    def compare(self, some: Rows, others: Rows, best: int | None = None) -> Tensor:
        """Return the similarities [B, N] of B clients to N others, both as `prepare` left them.

        A pair's similarity must not depend on other clients: the server compares in blocks of
        rows, so that no matrix of all pairs is held. With `best`, only the `best` largest of a
        row are needed, and the others may be -inf.
        """
        raise NotImplementedError
