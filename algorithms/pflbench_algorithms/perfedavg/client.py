"""Per-FedAvg's client half, first order (Fallah, Mokhtari, Ozdaglar 2020, Algorithm 1).

w ← w - β ∇f(w - α ∇f(w; D); D'): the factor I - α∇²f(w; D'') of the gradient is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from torch import Tensor

from pflbench.method import (
    Adaptation,
    Client,
    LocalBudget,
    LocalData,
    Message,
    Phase,
    Samples,
    Sgd,
    State,
)
from pflbench_algorithms.perfedavg import PerFedAvg


class PerFedAvgClient(Client[PerFedAvg]):
    """Takes two batches in turn: an inner step on D, and the step of w on D' from there."""

    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ()

    def phases(self) -> Sequence[Phase]:
        """Return one phase, whose batches come in pairs (D, D')."""
        return (Phase(multiple=2),)

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Begin at the received model; "w" is where the next gradient is taken."""
        return {"w": received["model"], "model": received["model"]}, {}

    def step(self, carry: State, batch: Samples, context: State) -> tuple[State, Tensor]:
        """Do the inner step, or the outer one from its gradient; return the batch's loss."""
        g, loss = self.task.gradient(carry["w"], batch)
        if self.task.step % 2 == 0:
            inner = carry["w"] - self.parameters.alpha * g
            inner = self.task.on_parameters(inner, carry["w"] - g)
            return {**carry, "w": inner}, loss
        model = self.task.on_parameters(carry["model"], carry["w"])
        model, state = self.task.descend(model, g, carry)
        return {**carry, **state, "w": model, "model": model}, loss

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Upload the model after the last pair of batches."""
        return state, {"model": carry["model"]}

    def adaptation(self) -> Adaptation:
        """Return the personal step: one of SGD with rate α."""
        one = LocalBudget(self.task.budget.batch_size, steps=1)
        return Adaptation(one, Sgd(self.parameters.alpha))

    def generic(self, state: State, served: Message) -> Tensor:
        """Return the global model."""
        return served["model"]
