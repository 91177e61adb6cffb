"""kNN-Per's client half (Marfoq et al. 2022): h(x) = λ h_knn(x) + (1 - λ) h_S(x).

h_S is FedAvg's model and φ its features. h_knn weighs the labels of the k training samples that
are nearest in φ by exp(-d), d = ‖φ(x) - φ(x')‖² / (D · scale), D the number of features.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pflbench.method import Client, LocalData, Message, State, Task
from pflbench_algorithms.knnper import KNNPer

GRID = 11
"""Values of λ among which a client chooses, from 0 to 1."""


class KNNPerClient(Client[KNNPer]):
    """Trains as FedAvg's; predicts with its training samples at hand."""

    def __init__(self, parameters: KNNPer, task: Task) -> None:
        super().__init__(parameters, task)
        self._weights = torch.linspace(0, 1, GRID).to(task.initial)

    def prepare(self, state: State, served: Message, data: LocalData) -> State:
        """Fill the datastore {(φ(x'), y')}; choose λ if the client does."""
        train, val, λ = data.train, data.val, self.parameters.weight
        known = train.mask * (train.y >= 0)  # a new client may have no labels
        φ = self.task.features(served["model"], train.x).flatten(1)
        ready = {**state, "features": φ, "labels": train.y.clamp(min=0), "known": known}
        if λ is not None:
            return {**ready, "weight": known.max() * λ}
        λs = known.max() * self._weights
        log_h = torch.stack(self._mixtures(ready, served, val.x, list(λs)))  # [GRID, n, C]
        counts = val.mask * (val.y >= 0)
        correct = ((log_h.argmax(-1) == val.y) * counts).sum(-1)
        true = val.y.clamp(min=0).expand(GRID, -1).unsqueeze(-1)
        loss = -(log_h.gather(-1, true).squeeze(-1) * counts).sum(-1)
        best = loss.masked_fill(correct < correct.max(), torch.inf).argmin()
        return {**ready, "weight": F.one_hot(best, GRID).to(λs) @ λs}

    def predict(self, state: State, served: Message, x: Tensor) -> Tensor:
        """Return log h."""
        return self._mixtures(state, served, x, [state["weight"]])[0]

    def _mixtures(self, state: State, served: Message, x: Tensor, λs: list[Tensor]) -> list[Tensor]:
        """Return log h [n, C] for each λ."""
        w = served["model"]
        φ = self.task.features(w, x)
        log_h_S = torch.log_softmax(self.task.classify(w, φ), dim=-1)
        h_knn = self._knn(state, φ.flatten(1))
        least = torch.finfo(h_knn.dtype).tiny  # h is 0 where neither knows a class, and λ = 1
        mixed = [torch.logaddexp((λ * h_knn).log(), (1 - λ).log() + log_h_S) for λ in λs]
        return [log_h.clamp(min=torch.log(log_h.new_tensor(least))) for log_h in mixed]

    def _knn(self, state: State, φ: Tensor) -> Tensor:
        """Return h_knn [n, C] for features [n, D], with all samples where there are fewer than k.

        Distances are of differences: the expansion of the square would lose the small ones.
        """
        d = torch.cdist(φ, state["features"], compute_mode="donot_use_mm_for_euclid_dist")
        d = d.square() / (φ.shape[1] * self.parameters.scale)
        d = d.masked_fill(state["known"] == 0, torch.finfo(d.dtype).max)
        d, nearest = d.topk(min(self.parameters.neighbours, d.shape[1]), largest=False)
        labels = state["labels"][nearest]  # [n, k]
        shares = torch.softmax(-d, dim=1)
        return φ.new_zeros(len(φ), self.task.classes).scatter_add(1, labels, shares)

    def generic(self, state: State, served: Message) -> Tensor:
        """Return the global model."""
        return served["model"]
