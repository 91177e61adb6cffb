"""How alike two clients are: what each tells once, and how the server compares what it was told."""

from __future__ import annotations

from torch import Tensor

from pflbench.method.client import Message
from pflbench.method.server import Rows, Setup
from pflbench.method.task import Samples, Task


class Similarity:
    """Base of all measures: one object at the clients, one at the server.

    `describe` keeps to the rules of mapped client code; it is given one client's data.

    Attributes
    ----------
    dim
        How many directions of a client's data are told, for measures that tell directions.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim

    @property
    def numbers_per_pair(self) -> int:
        """Numbers that are held for each pair of clients while it is compared."""
        return 1

    # At a client

    def describe(self, data: Samples, task: Task) -> Message:
        """Return what a client tells of its training data."""
        return {}

    def describe_inputs(self, data: Samples, task: Task) -> Message | None:
        """Return what a client without labels tells, to be compared with those that have some.

        None if labels are needed.
        """
        return None

    # At the server

    def prepare(self, told: Rows, clients: Tensor | None, setup: Setup) -> Rows:
        """Return what is compared [K, ...] of K clients, given what they told, stacked.

        `clients` are their numbers [K], or None for new clients, who have none.
        """
        return told

    def compare(self, some: Rows, others: Rows, best: int | None = None) -> Tensor:
        """Return the similarities [B, N] of B clients to N others, both as `prepare` left them.

        A pair's similarity does not depend on which clients come along: the server asks in blocks
        of rows, so that no matrix of all pairs is held. With `best`, only the `best` largest of a
        row are wanted, and -inf may stand for what is not among them.
        """
        raise NotImplementedError
