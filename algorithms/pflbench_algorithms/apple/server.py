"""APPLE's server half (Luo and Wu 2022, section 3): it hands core models out."""

from __future__ import annotations

import torch
from torch import Tensor

from pflbench.method import Joining, Relatedness, Rows, Server, Setup
from pflbench_algorithms.apple import APPLE


class APPLEServer(Server[APPLE]):
    """Keeps all clients' core models, and what they learnt of each other.

    Attributes
    ----------
    cores
        Rows of the clients; those that have not uploaded have the initial model.
    D
        [N, N] d_ij = p_ij - p⁰_j.
    samples
        [N] training samples.
    """

    def __init__(self, parameters: APPLE, setup: Setup) -> None:
        super().__init__(parameters, setup)
        N, initial = setup.clients, setup.initial
        self.cores = setup.storage.rows(N, initial)
        self.D = initial.new_zeros(N, N)
        self.samples = torch.zeros(N, dtype=torch.int64, device=initial.device)

    def enrol(self, clients: Tensor, messages: list[dict[str, Tensor]]) -> None:
        """Learn the clients' sample counts."""
        self.samples[clients] = torch.stack([m["samples"] for m in messages]).to(self.samples)

    def send(self, round: int, cohort: Tensor) -> Rows:
        """Send all core models, p⁰, the client's d and its number among them."""
        K = len(cohort)
        return {
            "cores": self._all().expand(K, -1, -1),
            "p0": self._shares().expand(K, -1),
            "d": self.D[cohort],
            "number": cohort.clone(),
        }

    def _all(self) -> Tensor:
        """Return the core models [N, P]."""
        return self.cores.take(torch.arange(self.setup.clients, device=self.D.device))

    def _shares(self) -> Tensor:
        """Return p⁰ [N]: the shares of samples of clients that have enrolled."""
        n = self.samples.to(self.D)
        return n / n.sum().clamp(min=1.0)

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Store the cohort's core models and d."""
        self.cores.put(cohort, uploads["model"])
        self.D = self.D.index_copy(0, cohort, uploads["d"])

    def onboard(self, joining: Joining) -> Rows:
        """Add a core model, the mixture with p⁰, of a client of mean size: the new client's."""
        cores, p0, N = self._all(), self._shares(), self.setup.clients
        size = p0[p0 > 0].mean() if bool((p0 > 0).any()) else torch.ones_like(p0[0])
        p0 = torch.cat([p0, size.unsqueeze(0)]) / (p0.sum() + size)
        mean = self._shares() @ cores
        K = joining.count
        return {
            "cores": torch.cat([cores, mean.unsqueeze(0)]).expand(K, -1, -1),
            "p0": p0.expand(K, -1),
            "d": torch.zeros_like(p0).expand(K, -1),
            "number": torch.full((K,), N, device=p0.device),
        }

    def relatedness(self) -> Relatedness:
        """Return p, and its positive shares."""
        P = self._shares() + self.D
        liked = P.clamp(min=0.0)
        shares = liked / liked.sum(dim=1, keepdim=True).clamp(min=torch.finfo(liked.dtype).tiny)
        return Relatedness(P, shares, shares)

    def forget(self, clients: Tensor) -> str:
        """Forget their core models, sizes and what was learnt of them."""
        super().forget(clients)
        self.samples[clients] = 0
        self.D[clients], self.D[:, clients] = 0.0, 0.0
        return ""
