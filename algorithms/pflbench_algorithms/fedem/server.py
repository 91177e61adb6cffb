"""FedEM's server half (Marfoq et al. 2021, Algorithm 1): θ_m ← Σ_k (n_k / n) θ_{m,k}."""

from __future__ import annotations

from torch import Tensor

from pflbench.method import Rows, Setup
from pflbench_algorithms.fedem import FedEM
from pflbench_algorithms.weighted_server import WeightedServer


class FedEMServer(WeightedServer[FedEM]):
    """Averages each component.

    Attributes
    ----------
    w
        [M, P] the components; different at first, as nothing else would part them.
    """

    def __init__(self, parameters: FedEM, setup: Setup) -> None:
        super().__init__(parameters, setup)
        self.w = setup.initials(parameters.components)
        self.begun = self.w.new_zeros(())

    def serve(self, clients: Tensor) -> Rows:
        """Return all components, to every client."""
        return {"models": self.w.expand(len(clients), *self.w.shape)}

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """θ ← Σ_k p_k θ_k over the cohort, and the rest of the weights on the old θ."""
        p = self.weights(cohort).to(self.w.dtype)
        whole = p.sum()
        if self.parameters.absent == "averaged":
            present = (self.samples > 0).nonzero().flatten()
            whole = self.weights(present).to(self.w.dtype).sum()
        p = p / whole
        trained = (p @ uploads["models"].flatten(start_dim=1)).view_as(self.w)
        self.w = trained + (1 - p.sum()).clamp(min=0.0) * self.w
        self.begun = self.begun + 1

    def forget(self, clients: Tensor) -> str:
        """Forget their sample counts; the components that they had a part in stay."""
        self.samples[clients] = 0
        return "their part in the components" if self.begun else ""
