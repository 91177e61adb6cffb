"""FedPAC's server half (Xu, Tong, Huang 2023): the mean body, and a mixture of heads a client."""

from __future__ import annotations

import torch
from torch import Tensor

from pflbench.method import Relatedness, Rows, Setup
from pflbench_algorithms.class_features import ClassMeans, feature_size
from pflbench_algorithms.fedpac import FedPAC
from pflbench_algorithms.fedpac.mixtures import best_mixtures
from pflbench_algorithms.weighted_server import WeightedServer


class FedPACServer(WeightedServer[FedPAC]):
    """Keeps the global body, all personal heads and the global prototypes.

    Attributes
    ----------
    heads
        Rows of the clients: their heads.
    prototypes, known
        [C, D] c̄, and [C] 1 for a class that has one, or 0.
    alpha
        [N, N] the weights of each client's last mixture.
    """

    def __init__(self, parameters: FedPAC, setup: Setup) -> None:
        super().__init__(parameters, setup)
        w, N = setup.initial, setup.clients
        self._head = setup.layout.block("head")
        self.heads = setup.storage.rows(N, self._head.take(w))
        self.prototypes = w.new_zeros(setup.classes, feature_size(setup.layout))
        self.known = w.new_zeros(setup.classes)
        self.alpha = w.new_zeros(N, N)

    def serve(self, clients: Tensor) -> Rows:
        """Return the body with each client's head, and the prototypes."""
        K = len(clients)
        return {
            "model": self._head.put(self.w.expand(K, -1), self.heads.take(clients)),
            "prototypes": self.prototypes.expand(K, -1, -1),
            "known": self.known.expand(K, -1),
        }

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Average bodies and prototypes, and mix the cohort's heads for each of its clients."""
        super().aggregate(round, cohort, uploads)
        after = ClassMeans(self.prototypes, self.known).averaged(
            uploads["prototypes"], uploads["counts"]
        )
        self.prototypes, self.known = after.means, after.known
        alpha = self.mixtures(uploads)
        alpha = alpha / alpha.sum(dim=1, keepdim=True)
        self.heads.put(cohort, alpha @ self._head.take(uploads["model"]))
        self.alpha = self.alpha.clone()
        self.alpha[cohort] = 0.0
        self.alpha[cohort.unsqueeze(1), cohort] = alpha

    def mixtures(self, uploads: Rows) -> Tensor:
        """Return α [K, K] of the cohort, without small weights: rows need not sum to 1.

        A client none of whose weights is larger keeps its own head.
        """
        V = uploads["variance"].double().clamp(min=0).cpu().numpy()
        H = uploads["class_features"].flatten(1).double().cpu().numpy()
        found = torch.from_numpy(best_mixtures(V, H)).to(uploads["variance"])
        found = found * (found > self.parameters.small_weight)
        alone = torch.diag((found.sum(dim=1) == 0).to(found))
        return found + alone

    def relatedness(self) -> Relatedness:
        """Return α."""
        return Relatedness(self.alpha, self.alpha, self.alpha)

    def forget(self, clients: Tensor) -> str:
        """Forget their heads and their weights; averages that they had a part in stay."""
        had = super().forget(clients)
        self.heads.reset(clients)
        self.alpha[clients], self.alpha[:, clients] = 0.0, 0.0
        return had and "their part in the global body, the prototypes and others' heads"
