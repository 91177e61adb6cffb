"""What a server has learnt of how its clients relate."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Relatedness(NamedTuple):
    """What a server holds of how its clients relate: row i is about whom client i listens to.

    Attributes
    ----------
    similarity
        [N, N] how alike it takes every two clients to be; of a client with itself, anything.
    weight
        [N, N] what it makes of that: the graph, 0 where there is no edge.
    propagation
        [N, N] how much of each client's model reaches another; equal to `weight` where models
        pass over one edge only.
    """

    similarity: Tensor
    weight: Tensor
    propagation: Tensor
