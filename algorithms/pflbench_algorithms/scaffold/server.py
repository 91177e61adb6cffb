"""SCAFFOLD's server half (Karimireddy et al. 2020, Algorithm 1, lines 15 to 17)."""

from __future__ import annotations

import torch
from torch import Tensor

from pflbench.method import Rows, Setup
from pflbench_algorithms.relative_sizes import RelativeSizes
from pflbench_algorithms.scaffold import Scaffold


class ScaffoldServer(RelativeSizes[Scaffold]):
    """The global model x, and the control variate c: the mean of all clients' c_k.

    Attributes
    ----------
    c
        [P], 0 at first.
    """

    def __init__(self, parameters: Scaffold, setup: Setup) -> None:
        super().__init__(parameters, setup)
        self.c = torch.zeros_like(self.w)

    def serve(self, clients: Tensor) -> Rows:
        """Return x, c and g_k."""
        return {**super().serve(clients), "control": self.c.expand(len(clients), -1)}

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """X ← x + η_g mean(y_k - x); c ← c + (1/N) Σ_k (c_k⁺ - c_k), over the cohort."""
        x = self.w
        super().aggregate(round, cohort, uploads)
        self.w = x + self.parameters.server_lr * (self.w - x)
        self.c = self.c + uploads["control"].sum(dim=0) / self.setup.clients
