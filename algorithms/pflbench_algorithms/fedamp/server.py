"""FedAMP's server half: cloud models u_i = Σ_j ξ_ij w_j (Huang et al. 2021, equations 4 to 6)."""

from __future__ import annotations

import torch
from torch import Tensor

from pflbench.method import Relatedness, Rows, Server, Setup
from pflbench_algorithms.fedamp import FedAMP


class FedAMPServer(Server[FedAMP]):
    """Keeps all clients' latest models W and their squared distances.

    Attributes
    ----------
    W
        Rows of the clients; those that have not uploaded have the initial model.
    distances
        [N, N] ‖w_i - w_j‖² over trained parameters, in double precision.
    there
        [N] bool: who has uploaded.
    """

    def __init__(self, parameters: FedAMP, setup: Setup) -> None:
        super().__init__(parameters, setup)
        device, N = setup.initial.device, setup.clients
        self.W = setup.storage.rows(N, setup.initial)
        self.distances = torch.zeros(N, N, dtype=torch.float64, device=device)
        self.there = torch.zeros(N, dtype=torch.bool, device=device)

    def send(self, round: int, cohort: Tensor) -> Rows:
        """Send cloud models; the initial model before the first upload."""
        return self.serve(cohort)

    def serve(self, clients: Tensor) -> Rows:
        """Return u_i of clients."""
        others = self.there.nonzero().flatten()
        if not len(others):
            return {"model": self.setup.initial.expand(len(clients), -1)}
        among = torch.unique(torch.cat([others, clients]))
        return {"model": self.W.mix(self.attention(clients)[:, among], among)}

    def attention(self, clients: Tensor) -> Tensor:
        """Return ξ [K, N] of clients: ξ_ij = α A'(‖w_i - w_j‖²), A(x) = 1 - exp(-x/σ).

        Each row sums to 1 by ξ_ii, which is never negative: α counts as smaller for a client
        where it would be.
        """
        alpha, sigma = self.parameters.alpha, self.parameters.sigma
        xi = alpha * torch.exp(-self.distances[clients] / sigma) / sigma
        xi = xi * (self.there & self.there[clients].unsqueeze(1))
        itself = clients.unsqueeze(1)
        xi = xi.scatter(1, itself, 0.0)
        xi = xi / xi.sum(dim=1, keepdim=True).clamp(min=1.0)
        return xi.scatter(1, itself, 1.0 - xi.sum(dim=1, keepdim=True))

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Store the cohort's models, and measure how far they are from all others."""
        self.W.put(cohort, uploads["model"])
        self.there = self.there.index_fill(0, cohort, value=True)
        others = self.there.nonzero().flatten()
        trained = self.setup.layout.trained
        mine = uploads["model"][:, :trained].to(torch.float64)
        origin = mine.mean(dim=0)
        mine = mine - origin
        self.distances = self.distances.clone()
        for part in torch.split(others, 256):
            theirs = self.W.take(part)[:, :trained].to(torch.float64) - origin
            squares = mine.square().sum(dim=1, keepdim=True) + theirs.square().sum(dim=1)
            found = (squares - 2 * mine @ theirs.T).clamp(min=0.0)
            self.distances[cohort.unsqueeze(1), part] = found
            self.distances[part.unsqueeze(1), cohort] = found.T

    def relatedness(self) -> Relatedness:
        """Return minus the distances, and ξ."""
        everyone = torch.arange(self.setup.clients, device=self.distances.device)
        xi = self.attention(everyone)
        return Relatedness(-self.distances, xi, xi)

    def forget(self, clients: Tensor) -> str:
        """Forget their models: no client attends to them any more."""
        super().forget(clients)
        self.distances[clients], self.distances[:, clients] = 0.0, 0.0
        self.there[clients] = False
        return ""
