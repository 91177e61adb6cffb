"""A server's learnt relations of its clients."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Relatedness(NamedTuple):
    """A server's relations of its clients: row i is for client i as listener.

    Attributes
    ----------
    similarity
        [N, N] similarity of each pair of clients; the diagonal has no meaning.
    weight
        [N, N] the graph made from it, 0 without an edge.
    propagation
        [N, N] how much of each client's model reaches another; equal to `weight` where models
        pass over one edge only.
    """

    similarity: Tensor
    weight: Tensor
    propagation: Tensor
