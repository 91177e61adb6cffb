"""FedDyn's server half (Acar et al. 2021, Algorithm 1)."""

from __future__ import annotations

import torch
from torch import Tensor

from pflbench.method import Rows, Setup
from pflbench_algorithms.feddyn import FedDyn
from pflbench_algorithms.relative_sizes import RelativeSizes


class FedDynServer(RelativeSizes[FedDyn]):
    """θ = mean of the cohort's θ_k - h/α, with h = -α mean(d_k) over all clients.

    Attributes
    ----------
    drift
        [P] the mean of all clients' d_k, 0 at first: -h/α.
    """

    def __init__(self, parameters: FedDyn, setup: Setup) -> None:
        super().__init__(parameters, setup)
        self.drift = torch.zeros_like(self.w)

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """H ← h - α (1/N) Σ_k (θ_k - θ), over the cohort; then θ."""
        trained = self.setup.layout.trained
        drifts = uploads["model"][:, :trained] - self.w[:trained]
        self.drift = self.drift.clone()
        self.drift[:trained] += drifts.sum(dim=0) / self.setup.clients
        super().aggregate(round, cohort, uploads)
        self.w = self.w + self.drift
