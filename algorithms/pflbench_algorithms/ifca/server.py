"""IFCA's server half: θ_j is the mean of the models that began as θ_j (Ghosh et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from pflbench.method import Joining, Relatedness, Rows, Setup
from pflbench.method.new_client import average
from pflbench_algorithms.ifca import IFCA
from pflbench_algorithms.weighted_server import WeightedServer


class IFCAServer(WeightedServer[IFCA]):
    """Keeps k models.

    Attributes
    ----------
    w
        [k, P] the models θ_j; different at first, for nothing else would part clients.
    cluster
        [N] int64: the model that each client chose last, or -1.
    """

    def __init__(self, parameters: IFCA, setup: Setup) -> None:
        super().__init__(parameters, setup)
        self.w = setup.initials(parameters.clusters)
        self.cluster = torch.full_like(self.samples, -1)

    def serve(self, clients: Tensor) -> Rows:
        """Return all models, to every client."""
        return {"models": self.w.expand(len(clients), -1, -1)}

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Average the models of each cluster; one that no client chose keeps its model."""
        chosen = uploads["cluster"]
        n = self.weights(cohort).to(self.w.dtype)
        shares = torch.where(chosen == torch.arange(len(self.w), device=n.device)[:, None], n, 0.0)
        total = shares.sum(dim=1, keepdim=True)
        means = (shares / total.clamp(min=torch.finfo(n.dtype).tiny)) @ uploads["model"]
        self.w = torch.where(total > 0, means, self.w)
        self.cluster = self.cluster.index_copy(0, cohort, chosen)

    def onboard(self, joining: Joining) -> Rows:
        """Serve all models; to new clients without labels, which cannot choose, the commonest."""
        if joining.labelled:
            return average(self.serve, joining.participants, joining.count)
        commonest = self.w[self.sizes().argmax()]
        return {"models": commonest.expand(joining.count, *self.w.shape)}

    def sizes(self) -> Tensor:
        """Return how many clients chose each model last, [k]."""
        known = self.cluster[self.cluster >= 0]
        return torch.bincount(known, minlength=len(self.w))

    def telemetry(self, round: int) -> dict[str, float]:
        """Return how many models some client chose last, and the largest one's share of clients."""
        sizes = self.sizes()
        return {
            "clusters": int((sizes > 0).sum()),
            "largest_cluster": float(sizes.max() / sizes.sum().clamp(min=1)),
        }

    def relatedness(self) -> Relatedness:
        """Return 1 for clients of one cluster, and each one's share of its cluster's model."""
        known = self.cluster >= 0
        alike = (self.cluster == self.cluster[:, None]) & known & known[:, None]
        together = alike.to(self.w.dtype)
        everyone = torch.arange(len(known), device=known.device)
        shares = together * self.weights(everyone)
        shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=1.0)
        return Relatedness(together, together, shares)

    def forget(self, clients: Tensor) -> str:
        """Forget their sample counts and choices; the models that they had a part in stay."""
        uploaded = bool((self.cluster >= 0).any())
        self.samples[clients], self.cluster[clients] = 0, -1
        return "their part in the models" if uploaded else ""
