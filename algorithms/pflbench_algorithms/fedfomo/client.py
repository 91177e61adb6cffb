"""FedFomo's client half (Zhang et al. 2021, section 3).

A model's weight is w_n ∝ max((L(θ) - L(θ_n)) / ‖θ_n - θ‖, 0), L being the validation loss.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from pflbench.method import Client, LocalData, Message, State
from pflbench_algorithms.fedfomo import FedFomo


class FedFomoClient(Client[FedFomo]):
    """Keeps its model θ_i, and θ: the one that its last local training began at."""

    personal_model: ClassVar[Literal["kept", "served"]] = "kept"
    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ("val",)

    def initial_state(self) -> State:
        """Every client starts from the shared initial model."""
        return {"w": self.task.initial, "before": self.task.initial}

    def enrol(self, data: LocalData) -> Message:
        """Upload nothing."""
        return {}

    def join(self, state: State, received: Message) -> State:
        """Start as a new client from the mean of the models that it downloads, if any."""
        if not len(received["models"]):
            return state
        mean = received["models"].mean(dim=0)
        return {"w": mean, "before": mean}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Begin at θ + Σ_n w_n (θ_n - θ), n being the client itself and those downloaded."""
        theta = state["before"]
        models = torch.cat([state["w"].unsqueeze(0), received["models"]])
        losses = torch.stack([self.task.loss(m, data.val) for m in (theta, *models.unbind())])
        changes = models - theta
        distances = self._length(changes[:, : self.task.layout.trained])
        gains = (losses[0] - losses[1:]) / distances
        gains = torch.where((distances > 0) & gains.isfinite(), gains, 0.0)
        positive = gains.clamp(min=0.0)
        total = positive.sum()
        weights = positive / torch.where(total > 0, total, 1.0)
        w = theta + weights @ changes
        return {"w": w}, {"before": w, "gains": gains, "weights": weights}

    def _length(self, changes: Tensor) -> Tensor:
        """Return the norms of rows."""
        if self.parameters.norm == "l1":
            return changes.abs().sum(dim=1)
        return changes.square().sum(dim=1).sqrt()

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Keep and upload the model; upload what the others' models were worth."""
        gains = context["gains"]
        size = gains.abs().sum()
        told = gains[1:] / torch.where(size > 0, size, 1.0)
        w = carry["w"]
        return {"w": w, "before": context["before"]}, {"model": w, "gains": told}

    def personal(self, state: State, served: Message) -> Tensor:
        """Return θ_i."""
        return state["w"]
