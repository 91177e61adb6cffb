"""pFedGraph's server half: infers the graph G and mixes models by it (Ye et al. 2023, section 4).

Row i of G minimises α ‖g - p‖² - ⟨s_i, g⟩ over the simplex, p being the shares of samples and s_ij
the cosine of the updates w_i - w⁰ and w_j - w⁰: it is the point of the simplex nearest to
p + s_i / 2α.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pflbench.method import Relatedness, Rows, Server, Setup
from pflbench_algorithms.pfedgraph import PFedGraph
from pflbench_algorithms.pfedgraph.client import TINY

BLOCK = 256
"""Models that are in memory at a time."""


class PFedGraphServer(Server[PFedGraph]):
    """Keeps all clients' latest models W, and the cosines of their updates.

    Attributes
    ----------
    W
        Rows of the clients; those that have not uploaded have the initial model.
    norms
        [N] of these models' trained parameters.
    similarity
        [N, N] s, 0 for clients that have not uploaded.
    samples
        [N] training samples.
    there
        [N] bool: who has uploaded.
    """

    def __init__(self, parameters: PFedGraph, setup: Setup) -> None:
        super().__init__(parameters, setup)
        N, initial = setup.clients, setup.initial
        self.W = setup.storage.rows(N, initial)
        self.norms = torch.ones(N, dtype=initial.dtype, device=initial.device)
        self.similarity = torch.zeros(N, N, dtype=initial.dtype, device=initial.device)
        self.samples = torch.zeros(N, dtype=torch.int64, device=initial.device)
        self.there = torch.zeros(N, dtype=torch.bool, device=initial.device)

    def enrol(self, clients: Tensor, messages: list[dict[str, Tensor]]) -> None:
        """Learn the clients' sample counts."""
        self.samples[clients] = torch.stack([m["samples"] for m in messages]).to(self.samples)

    def send(self, round: int, cohort: Tensor) -> Rows:
        """Send mixtures and directions; the initial model before the first upload."""
        return self.serve(cohort)

    def serve(self, clients: Tensor) -> Rows:
        """Return Σ_j G_ij w_j and v_i = Σ_j G_ij w_j / ‖w_j‖ of clients i."""
        there = self.there.nonzero().flatten()
        if not len(there):
            model = self.setup.initial.expand(len(clients), -1)
            return {"model": model, "direction": torch.zeros_like(model)}
        G = self.graph(clients)[:, there]
        mixed = self.W.mix(torch.cat([G, G / self.norms[there]]), there)
        return {"model": mixed[: len(clients)], "direction": mixed[len(clients) :]}

    def graph(self, clients: Tensor) -> Tensor:
        """Return rows of G [K, N]; those of clients without an upload are p, as their s is 0."""
        there = self.there.nonzero().flatten()
        uniform = self.parameters.weighting == "uniform"
        n = (torch.ones_like(there) if uniform else self.samples[there]).double()
        s = self.similarity[clients][:, there].double()
        G = torch.zeros_like(self.similarity[clients])
        G[:, there] = on_simplex(n / n.sum() + s / (2 * self.parameters.alpha)).to(G)
        return G

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Store the cohort's models; compare their updates with all others'."""
        n, W = self.setup.layout.trained, uploads["model"]
        self.W.put(cohort, W)
        self.there = self.there.index_fill(0, cohort, value=True)
        norms = torch.linalg.vector_norm(W[:, :n], dim=1)
        self.norms = self.norms.index_copy(0, cohort, norms.clamp(min=TINY))
        origin, s = self.setup.initial[:n], self.similarity.clone()
        mine = normalize(W[:, :n] - origin, dim=1)
        for part in torch.split(self.there.nonzero().flatten(), BLOCK):
            cosines = mine @ normalize(self.W.take(part)[:, :n] - origin, dim=1).T
            cosines = cosines.masked_fill(cosines > self.parameters.same_above, 1.0)
            s[cohort.unsqueeze(1), part] = cosines
            s[part.unsqueeze(1), cohort] = cosines.T
        s[cohort, cohort] = 1.0
        self.similarity = s

    def relatedness(self) -> Relatedness:
        """Return s and G."""
        G = self.graph(torch.arange(self.setup.clients, device=self.there.device))
        return Relatedness(self.similarity, G, G)

    def forget(self, clients: Tensor) -> str:
        """Forget their models, updates and sizes: no client's row of G reaches them any more."""
        super().forget(clients)
        self.similarity[clients], self.similarity[:, clients] = 0.0, 0.0
        self.norms[clients], self.samples[clients], self.there[clients] = 1.0, 0, False
        return ""


def on_simplex(points: Tensor) -> Tensor:
    """Return the points [K, M] with entries ≥ 0 and sum 1 that are nearest to `points`.

    The nearest one is max(point - τ, 0): the largest entries that stay above τ determine it.
    """
    largest = points.sort(dim=1, descending=True).values
    count = torch.arange(1, points.shape[1] + 1, device=points.device)
    tau = (largest.cumsum(dim=1) - 1) / count
    last = (largest > tau).sum(dim=1, keepdim=True) - 1
    return (points - tau.gather(1, last)).clamp(min=0)
