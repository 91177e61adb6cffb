"""FedBN's client half: w_k = (shared layers, own normalisation) (Li et al. 2021, Algorithm 1)."""

from __future__ import annotations

from pflbench.method import Client, Columns
from pflbench_algorithms.fedbn import FedBN


class FedBNClient(Client[FedBN]):
    """Keeps normalisation layers: scale, shift and running statistics."""

    def private(self) -> Columns:
        """Return the columns of the normalisation layers."""
        return self.task.layout.block("norm")
