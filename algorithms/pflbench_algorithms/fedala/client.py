"""FedALA's client half (Zhang et al. 2023, Algorithm 1, lines 4 to 13).

Local training begins at the received model Θ, except for the last tensors: there it begins at
Θ_k + (Θ - Θ_k) ⊙ W, Θ_k being the client's own model and W weights in [0, 1] that it learns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from pflbench.method import Client, LocalBudget, LocalData, Message, Phase, Samples, State, Task
from pflbench_algorithms.fedala import FedALA


class FedALAClient(Client[FedALA]):
    """Keeps its model, its weights W, and how many passes it ever learnt them in."""

    personal_model: ClassVar[Literal["kept", "served"]] = "kept"
    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ()

    def __init__(self, parameters: FedALA, task: Task) -> None:
        super().__init__(parameters, task)
        layout = task.layout
        parts = layout.names[: len(layout.names) - layout.buffers]
        last = parts[max(len(parts) - parameters.tensors, 0) :]
        self.last = layout.columns_of(last.__contains__)

    def initial_state(self) -> State:
        """Start from the shared initial model; W = 1."""
        w = self.task.initial
        return {"w": w, "W": torch.ones_like(self.last.take(w)), "passes": w.new_zeros(())}

    def join(self, state: State, received: Message) -> State:
        """Start as a new client from the global model."""
        return {**state, "w": received["model"]}

    def phases(self) -> Sequence[Phase]:
        """Return the learning of weights, where there are any, and local training."""
        p, batch = self.parameters, self.task.budget.batch_size
        learning = Phase(
            "ala",
            budget=LocalBudget(batch, epochs=1),
            batches="ala",
            rule="learn",
            share=p.percent / 100,
            passes=p.passes,
        )
        return (learning, Phase()) if self.last.count else (Phase(),)

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Mix the two models with the last round's W."""
        own, theta, W = state["w"], received["model"], state["W"]
        change = self.last.take(theta) - self.last.take(own)
        carry = {
            "w": self.last.put(theta, self.last.take(own) + change * W),
            "W": W,
            "passes": torch.zeros_like(state["passes"]),
            "loss": torch.zeros_like(state["passes"]),
            "losses": theta.new_zeros(self.parameters.window),
        }
        context = {
            "own": self.last.take(own),
            "change": change,
            "first": state["passes"] == 0,
            "differs": (own != theta).any(),
        }
        return carry, context

    def more(self, carry: State, context: State) -> tuple[State, Tensor]:
        """Go through the samples once; the first time until the losses hardly change.

        A pass's loss is that of its last batch. Nothing is learnt where both models are the same.
        """
        passes, window = carry["passes"], self.parameters.window
        losses = torch.cat([carry["losses"][1:], carry["loss"].reshape(1)])
        calm = losses.to(torch.float64).std(correction=0) < self.parameters.threshold
        going = torch.where(context["first"], (passes <= window) | ~calm, passes < 1)
        again = context["differs"] & going
        return {"losses": losses, "passes": passes + again}, again

    def learn(self, carry: State, batch: Samples, context: State) -> tuple[State, Tensor]:
        """W ← W - η ∂loss/∂θ ⊙ (Θ - Θ_k), cut to [0, 1]; mix θ again."""
        w, change = carry["w"], context["change"]
        g, loss = self.task.grad_and_value(self.loss)(w, batch, context)
        W = (carry["W"] - self.parameters.eta * self.last.take(g) * change).clamp(0.0, 1.0)
        mixed = self.last.put(w, context["own"] + change * W)
        return {**carry, "w": mixed, "W": W, "loss": loss.detach()}, loss

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Keep the model and W, upload the model."""
        w, passes = carry["w"], state["passes"] + carry["passes"]
        return {"w": w, "W": carry["W"], "passes": passes}, {"model": w}

    def personal(self, state: State, served: Message) -> Tensor:
        """Return the client's own model."""
        return state["w"]

    def generic(self, state: State, served: Message) -> Tensor:
        """Return the global model."""
        return served["model"]
