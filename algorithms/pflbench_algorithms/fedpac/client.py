"""FedPAC's client half (Xu, Tong, Huang 2023): φ aligned with prototypes, and facts for weights.

The facts are V_k, how uncertain a head is that client k trains on its few samples, and
h_k(y) = P_k(y) · mean of f over class y, with the features f = φ(x) of the model at the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from torch import Tensor

from pflbench.method import Client, LocalBudget, LocalData, Message, Phase, Samples, State
from pflbench_algorithms.class_features import class_means, class_sums
from pflbench_algorithms.fedpac import FedPAC


class FedPACClient(Client[FedPAC]):
    """Trains the head, then the body for L(w; x, y) + λ · R(φ(x); c̄(y)), c̄ the prototypes."""

    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ("train",)

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Compute V_k and h_k."""
        w, train = received["model"], data.train
        f = self.task.features(w, train.x).flatten(1)
        sums, counts = class_sums(f, train, self.task.classes)
        n = train.mask.sum().clamp(min=1)
        h = sums / n  # P(y) · mean
        # Σ_y P(y) E‖f‖² - P(y)² ‖mean‖², over n
        V = (f.square().sum(dim=1) @ train.mask / n - h.square().sum()).clamp(min=0) / n
        prototypes = {"c̄": received["prototypes"], "there": received["known"]}
        return {"w": w}, {**prototypes, "counts": counts, "V": V, "h": h}

    def phases(self) -> Sequence[Phase]:
        """Return the head's phase, then the body's; the other part is frozen."""
        head, body = self.task.layout.block("head"), self.task.layout.block("body")
        epochs = LocalBudget(self.task.budget.batch_size, epochs=self.parameters.head_epochs)
        return (
            Phase("head", head, budget=epochs, batches="head", lr=self.parameters.head_lr),
            Phase("body", body, batches="body"),
        )

    def loss(self, w: Tensor, batch: Samples, context: State) -> Tensor:
        """Return L, and in the body's phase L + λR.

        R is the mean of (φ(x) - c̄(y))² over the batch and the features; a class without
        prototype adds nothing.
        """
        if self.task.phase == "head":
            return self.task.loss(w, batch)
        φ = self.task.features(w, batch.x)
        L = self.task.cross_entropy(self.task.classify(w, φ), batch)
        counted = context["there"][batch.y] * batch.mask / batch.mask.sum().clamp(min=1)
        R = counted @ (φ.flatten(1) - context["c̄"][batch.y]).square().mean(dim=1)
        return L + self.parameters.lam * R

    def summary(self, carry: State, context: State, data: LocalData) -> Message:
        """Upload V_k, h_k, and the prototypes c_k of the trained body with their counts."""
        f = self.task.features(carry["w"], data.train.x)
        c = class_means(*class_sums(f, data.train, self.task.classes))
        facts = {"variance": context["V"], "class_features": context["h"]}
        return {"prototypes": c, "counts": context["counts"], **facts}
