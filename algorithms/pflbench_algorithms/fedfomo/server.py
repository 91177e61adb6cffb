"""FedFomo's server half: who downloads whose model (Zhang et al. 2021, section 3)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pflbench.method import Joining, Relatedness, Rows, Server, Setup
from pflbench.streams import stream, torch_stream
from pflbench_algorithms.fedfomo import FedFomo


class FedFomoServer(Server[FedFomo]):
    """Keeps all clients' latest models, and how much each client made of the others'.

    Attributes
    ----------
    models
        Rows of the clients; those that have not uploaded have the initial model.
    there
        [N] bool: who has uploaded.
    P
        [N, N] the affinities: the sums of what client i said of client j's models.
    """

    def __init__(self, parameters: FedFomo, setup: Setup) -> None:
        super().__init__(parameters, setup)
        device, N = setup.initial.device, setup.clients
        self.models = setup.storage.rows(N, setup.initial)
        self.there = torch.zeros(N, dtype=torch.bool, device=device)
        self.P = setup.initial.new_zeros(N, N)

    def send(self, round: int, cohort: Tensor) -> Rows:
        """Send every client the models that are chosen for it, fewer before M + 1 have uploaded."""
        count = min(self.parameters.downloads, max(int(self.there.sum()) - 1, 0))
        return {"models": self._rows(self.choose(round, cohort, count))}

    def _rows(self, clients: Tensor) -> Tensor:
        """Return the models [K, M, P] of clients [K, M]."""
        return self.models.take(clients.flatten()).view(*clients.shape, self.setup.layout.columns)

    def choose(self, round: int, cohort: Tensor, count: int) -> Tensor:
        """Return whose models [K, count] the cohort downloads in this round, ε-greedily.

        Each of them is, with probability ε, any client's of those left, and else that of the
        highest affinity. It is the same before and after the cohort's training.
        """
        p, N = self.parameters, self.setup.clients
        named = (stream(self.setup.seed, "fedfomo downloads", round, k) for k in cohort.tolist())
        drawn = torch.from_numpy(np.stack([rng.random(N + count) for rng in named]))
        chance, explores = torch.split(drawn.to(cohort.device), [N, count], dim=1)
        explores = explores < p.epsilon - round * p.epsilon_decay
        liked = _ranks(self.P[cohort], chance)
        left = self.there.repeat(len(cohort), 1).scatter(1, cohort.unsqueeze(1), False)
        chosen = [cohort.new_zeros(len(cohort), 0)]
        for m in range(count):
            score = torch.where(explores[:, m : m + 1], chance, liked)
            chosen.append(score.masked_fill(~left, -1.0).argmax(dim=1, keepdim=True))
            left = left.scatter(1, chosen[-1], False)
        return torch.cat(chosen, dim=1)

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """P_i ← P_i + what client i made of its downloads; store the cohort's models."""
        gains = uploads["gains"]
        downloaded = self.choose(round, cohort, gains.shape[1])
        self.P[cohort] = self.P[cohort].scatter_add(1, downloaded, gains)
        self.models.put(cohort, uploads["model"])
        self.there[cohort] = True

    def onboard(self, joining: Joining) -> Rows:
        """Return the models of M participants, drawn at random, the same for all."""
        there = joining.participants[self.there[joining.participants]]
        generator = torch_stream(self.setup.seed, "fedfomo onboarding")
        drawn = torch.randperm(len(there), generator=generator).to(there.device)
        chosen = there[drawn[: self.parameters.downloads]]
        return {"models": self._rows(chosen.unsqueeze(0)).expand(joining.count, -1, -1)}

    def relatedness(self) -> Relatedness:
        """Return the affinities, and the shares of those above 0."""
        liked = self.P.clamp(min=0.0)
        shares = liked / liked.sum(dim=1, keepdim=True).clamp(min=torch.finfo(liked.dtype).tiny)
        return Relatedness(self.P, shares, shares)

    def forget(self, clients: Tensor) -> str:
        """Forget their models and affinities: no client downloads from them any more."""
        super().forget(clients)
        self.there[clients] = False
        self.P[clients], self.P[:, clients] = 0.0, 0.0
        return ""


def _ranks(affinity: Tensor, chance: Tensor) -> Tensor:
    """Return the ranks [K, N] of the entries of each row, ties being broken by chance [K, N]."""
    order = chance.argsort(dim=1)
    order = order.gather(1, affinity.gather(1, order).argsort(dim=1, stable=True))
    return order.argsort(dim=1).to(chance.dtype)
