"""FedNova's server half: x ← x - τ_eff Σ_i p_i η d_i (Wang et al. 2020, section 4)."""

from __future__ import annotations

from torch import Tensor

from pflbench.method import Rows
from pflbench_algorithms.fednova import FedNova
from pflbench_algorithms.weighted_server import WeightedServer


class FedNovaServer(WeightedServer[FedNova]):
    """Moves by the mean change per step, times the mean number of steps."""

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Move by τ_eff Σ_i p_i (x_i - x) / ‖a_i‖₁ with τ_eff = Σ_i p_i ‖a_i‖₁, over the cohort."""
        n = self.weights(cohort).to(self.w.dtype)
        p, trained = n / n.sum(), self.setup.layout.trained
        step = p @ uploads["change"]
        step[:trained] *= p @ uploads["weight"]
        self.w = self.w + step
