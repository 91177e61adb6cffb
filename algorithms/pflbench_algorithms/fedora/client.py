"""FEDORA's client half: its enrolment, and whether it is pulled to the received model.

Wu, Bao, Ainsworth, He: Personalized Federated Learning with Parameter Propagation, KDD 2023.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from pflbench.method import Client, LocalData, Message, Samples, State, Task
from pflbench_algorithms.fedora import Fedora, measure_of


class FedoraClient(Client[Fedora]):
    """Keeps its own model w; the received model r only regularises it, and only if it helps."""

    personal_model: ClassVar[Literal["kept", "served"]] = "kept"
    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ("val",)
    enrol_is_mapped: ClassVar[bool] = True

    def __init__(self, parameters: Fedora, task: Task) -> None:
        super().__init__(parameters, task)
        self.measure = measure_of(parameters)

    def initial_state(self) -> State:
        """Every client starts from the shared initial model."""
        return {"w": self.task.initial}

    def enrol(self, data: LocalData) -> Message:
        """Upload the similarity measure's description of the training data."""
        return self.measure.describe(data.train, self.task)

    def enrol_unlabelled(self, data: Samples) -> Message:
        """Upload the measure's description of inputs alone; nothing if it needs labels."""
        return self.measure.describe_inputs(data, self.task) or {}

    def join(self, state: State, received: Message) -> State:
        """Start as a new client from the mean of similar clients: w = r."""
        return {"w": received["model"]}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Choose λ: exp(Δ/2) if r does not do worse than w on validation data, else 0.

        Δ = loss(w) - loss(r), each the mean over the client's validation samples.
        """
        w, r = state["w"], received["model"]
        delta = self.task.loss(w, data.val) - self.task.loss(r, data.val)
        lam = torch.where(delta >= 0, torch.exp(delta / 2), 0.0)
        return {"w": w}, {"r": r, "lam": lam}

    def pull(self, context: State) -> tuple[Tensor, Tensor]:
        """After every step, w ← w - ηλ(w₀ - r), η the learning rate and w₀ the step's start."""
        return self.task.rate * context["lam"], context["r"]

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Keep w and upload it."""
        return {"w": carry["w"]}, {"model": carry["w"]}

    def personal(self, state: State, served: Message) -> Tensor:
        """Return w: the received model never replaces it."""
        return state["w"]
