"""FedBN's client half: w_k = (shared layers, own normalisation) (Li et al. 2021, Algorithm 1)."""

from __future__ import annotations

import warnings

from pflbench.errors import Notice
from pflbench.method import Client, Columns, Task
from pflbench_algorithms.fedbn import FedBN


class FedBNClient(Client[FedBN]):
    """Keeps normalisation layers: scale, shift and running statistics."""

    def __init__(self, parameters: FedBN, task: Task) -> None:
        super().__init__(parameters, task)
        if not self.private().count:
            warnings.warn(
                "fedbn: this network has no normalisation layers, so clients keep nothing, and "
                "all layers are averaged, as by FedAvg.",
                Notice,
                stacklevel=2,
            )

    def private(self) -> Columns:
        """Return the columns of the normalisation layers."""
        return self.task.layout.block("norm")
