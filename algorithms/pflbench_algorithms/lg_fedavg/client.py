"""LG-FedAvg's client half: own ℓ_k below a shared g (Liang et al. 2020, Algorithm 1)."""

from __future__ import annotations

from pflbench.method import Client, Columns
from pflbench_algorithms.lg_fedavg import LGFedAvg


class LGFedAvgClient(Client[LGFedAvg]):
    """Keeps its local representation ℓ_k; the global model g of it is shared."""

    def private(self) -> Columns:
        """Return the columns of all layers but the last ones."""
        return self.task.layout.last_layers(self.parameters.global_layers).rest
