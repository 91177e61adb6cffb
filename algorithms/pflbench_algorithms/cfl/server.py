"""CFL's server half (Sattler, Müller, Samek 2020): clusters, their models, and their splits."""

from __future__ import annotations

import numpy as np
import torch
from scipy.cluster.hierarchy import cut_tree, linkage
from scipy.spatial.distance import squareform
from torch import Tensor

from pflbench.method import Joining, Relatedness, Rows, Setup
from pflbench_algorithms.cfl import CFL
from pflbench_algorithms.weighted_server import WeightedServer

_COLUMNS = 4096
"""Columns of updates that are multiplied at a time, in double precision."""


class CFLServer(WeightedServer[CFL]):
    """Keeps a model for each cluster, and every client's latest update Δθ_i.

    Attributes
    ----------
    w
        [C, P] the clusters' models; one cluster at first.
    cluster
        [N] int64: each client's cluster.
    updates
        Rows of the clients' latest updates of trained parameters.
    lengths
        [N] ‖Δθ_i‖.
    fresh
        [N] bool: who has uploaded since its cluster was formed.
    norms
        [N, 2] ‖Σ p_i Δθ_i‖ and max ‖Δθ_i‖ of a client's cluster, before its last split.
    """

    def __init__(self, parameters: CFL, setup: Setup) -> None:
        super().__init__(parameters, setup)
        N, device = setup.clients, setup.initial.device
        self.w = setup.initial.clone()[None]
        self.cluster = torch.zeros_like(self.samples)
        self.updates = setup.storage.rows(N, torch.zeros_like(setup.initial[: self._trained]))
        self.lengths = torch.zeros(N, dtype=torch.float64, device=device)
        self.fresh = torch.zeros(N, dtype=torch.bool, device=device)
        self.norms = torch.zeros(N, 2, dtype=torch.float64, device=device)

    def enrol(self, clients: Tensor, messages: list[dict[str, Tensor]]) -> None:
        """Learn the clients' sample counts; clients that join later enter the largest cluster."""
        largest = self.largest()
        super().enrol(clients, messages)
        self.cluster = self.cluster.index_fill(0, clients, largest)

    def serve(self, clients: Tensor) -> Rows:
        """Return the models of the clients' clusters."""
        return {"model": self.w[self.cluster[clients]]}

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Split clusters whose clients disagree; then θ_c ← θ_c + Σ p_i Δθ_i in each cluster."""
        delta = uploads["model"] - self.w[self.cluster[cohort]]
        self.updates.put(cohort, delta[:, : self._trained])
        lengths = delta[:, : self._trained].to(torch.float64).norm(dim=1)
        self.lengths = self.lengths.index_copy(0, cohort, lengths)
        self.fresh = self.fresh.index_fill(0, cohort, value=True)
        for c in range(len(self.w)):
            self.examine(c, may_split=round >= self.parameters.first_split)
        there = self.cluster[cohort] == torch.arange(len(self.w), device=cohort.device)[:, None]
        p = there * self.weights(cohort).to(delta.dtype)
        self.w = self.w + p / p.sum(dim=1, keepdim=True).clamp(min=1.0) @ delta

    def examine(self, c: int, *, may_split: bool) -> None:
        """Measure a cluster's norms, and split it if the paper's conditions hold."""
        members = self.members(c)
        known = members[self.fresh[members]]
        if not len(known):
            return
        p = self.weights(known).to(self.w.dtype)
        mean = self.updates.mix((p / p.sum())[None], known)[0].to(torch.float64).norm()
        longest = self.lengths[known].max()
        self.norms = self.norms.index_copy(
            0, members, torch.stack([mean, longest]).expand(len(members), 2)
        )
        eps_1, eps_2, gamma = (getattr(self.parameters, n) for n in ("eps_1", "eps_2", "gamma_max"))
        ripe = may_split and len(known) == len(members) > 2
        if not ripe or mean >= eps_1 or longest <= eps_2:
            return
        cosines = self.similarity(members)
        second = bipartition(cosines)
        if (1 - cosines[~second][:, second].max()) / 2 <= gamma**2:
            return
        self.cluster = self.cluster.index_fill(0, members[second], len(self.w))
        self.fresh = self.fresh.index_fill(0, members, value=False)
        self.w = torch.cat([self.w, self.w[c : c + 1]])

    def members(self, c: int) -> Tensor:
        """Return the numbers of a cluster's present clients."""
        return ((self.cluster == c) & (self.samples > 0)).nonzero().flatten()

    def similarity(self, clients: Tensor) -> Tensor:
        """Return the cosines of clients' latest updates, [K, K]."""
        rows = self.updates.take(clients)
        products = self.lengths.new_zeros(len(clients), len(clients))
        for columns in torch.split(rows, _COLUMNS, dim=1):
            block = columns.to(products.dtype)
            products.addmm_(block, block.T)
        length = products.diagonal().sqrt().clamp(min=torch.finfo(products.dtype).tiny)
        return (products / length / length[:, None]).clamp(-1.0, 1.0)

    def largest(self) -> int:
        """Return the cluster of most present clients."""
        return int(torch.bincount(self.cluster[self.samples > 0], minlength=1).argmax())

    def onboard(self, joining: Joining) -> Rows:
        """Serve new clients the model of the largest cluster."""
        return {"model": self.w[self.largest()].expand(joining.count, -1)}

    def telemetry(self, round: int) -> dict[str, float]:
        """Return the number of clusters, their smallest mean update and their longest update."""
        norms = self.norms[self.samples > 0]
        return {
            "clusters": len(self.w),
            "mean_norm": float(norms[:, 0].min()) if len(norms) else float("nan"),
            "max_norm": float(norms[:, 1].max()) if len(norms) else float("nan"),
        }

    def relatedness(self) -> Relatedness:
        """Return the cosines, who is in one cluster, and each one's share of its cluster."""
        everyone = torch.arange(self.setup.clients, device=self.cluster.device)
        together = (self.cluster == self.cluster[:, None]).to(self.w.dtype)
        shares = together * self.weights(everyone) * (self.samples > 0)
        shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=1.0)
        return Relatedness(self.similarity(everyone), together, shares)

    def forget(self, clients: Tensor) -> str:
        """Forget their sample counts and updates; models they had a part in and splits stay."""
        self.updates.reset(clients)
        self.samples[clients], self.cluster[clients], self.fresh[clients] = 0, 0, False
        self.lengths[clients], self.norms[clients] = 0.0, 0.0
        untouched = torch.equal(self.w, self.setup.initial[None])
        return "" if untouched else "their part in the clusters and their models"

    @property
    def _trained(self) -> int:
        return self.setup.layout.trained


def bipartition(cosines: Tensor) -> Tensor:
    """Return which of n clients are in the part without client 0, [n] bool.

    Of all cuts in two, it is the one with the smallest largest cosine across: the last merge of
    single linkage.
    """
    distances = (1 - cosines).cpu().numpy()
    np.fill_diagonal(distances, 0.0)
    merges = linkage(squareform(distances, checks=False), method="single")
    parts = cut_tree(merges, n_clusters=2).flatten()
    return torch.from_numpy(parts != parts[0]).to(cosines.device)
