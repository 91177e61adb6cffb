"""FedDBE's server half: the consensus z̄ᵍ once, then FedAvg (Zhang et al. 2023, section 4)."""

from __future__ import annotations

import torch
from torch import Tensor

from pflbench.method import Rows, Setup
from pflbench_algorithms.feddbe import FedDBE
from pflbench_algorithms.feddbe.client import LinearHead
from pflbench_algorithms.weighted_server import WeightedServer


class FedDBEServer(WeightedServer[FedDBE]):
    """The global model, and z̄ᵍ.

    Attributes
    ----------
    consensus
        [D] z̄ᵍ: the mean of the clients' mean features, from the first round with uploads.
    known
        Scalar: 1 after that round, the initialization period; 0 before.
    """

    def __init__(self, parameters: FedDBE, setup: Setup) -> None:
        super().__init__(parameters, setup)
        self.consensus = torch.zeros_like(self.w[: LinearHead.of(setup.layout).features])
        self.known = self.w.new_zeros(())

    def serve(self, clients: Tensor) -> Rows:
        """Return the global model, z̄ᵍ, and whether it is known."""
        K = len(clients)
        consensus, known = self.consensus.expand(K, -1), self.known.expand(K)
        return {**super().serve(clients), "consensus": consensus, "known": known}

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Average the models; in the initialization period only z̄, and drop the models."""
        if self.known:
            super().aggregate(round, cohort, uploads)
            return
        n = self.weights(cohort).to(self.w.dtype)
        self.consensus = (n / n.sum()) @ uploads["mean"]
        self.known = torch.ones_like(self.known)

    def forget(self, clients: Tensor) -> str:
        """Forget their sample counts; the global model and z̄ᵍ that they had a part in stay."""
        super().forget(clients)
        return "their part in the global model and in the mean feature" if self.known else ""
