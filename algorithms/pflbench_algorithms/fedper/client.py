"""FedPer's client half: (W_B, W_Pk) ← SGD(W_B, W_Pk) (Arivazhagan et al. 2019, Algorithm 1)."""

from __future__ import annotations

from pflbench.method import Client, Columns
from pflbench_algorithms.fedper import FedPer


class FedPerClient(Client[FedPer]):
    """Keeps its personalisation layers W_Pk; the base layers W_B are shared."""

    def private(self) -> Columns:
        """Return the columns of the last layers."""
        return self.task.layout.last_layers(self.parameters.personal_layers)
