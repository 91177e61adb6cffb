"""pFedMe's client half (Dinh, Tran, Nguyen 2020, Algorithm 1).

θ̂(w) = argmin_θ f(θ) + λ/2 ‖θ - w‖², and ∇F(w) = λ(w - θ̂(w)), F the Moreau envelope of f.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from pflbench.method import Client, LocalData, Message, Samples, State, Task
from pflbench_algorithms.pfedme import PFedMe


class PFedMeClient(Client[PFedMe]):
    """In each step: K gradient steps of θ on the batch, then w ← w - ηλ(w - θ)."""

    personal_model: ClassVar[Literal["kept", "served"]] = "kept"
    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ()

    def __init__(self, parameters: PFedMe, task: Task) -> None:
        super().__init__(parameters, task)
        self.gradients_per_step = parameters.inner_steps

    def initial_state(self) -> State:
        """θ is the shared initial model."""
        return {"theta": self.task.initial}

    def join(self, state: State, received: Message) -> State:
        """Start as a new client from the global model: θ = w."""
        return {"theta": received["model"]}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Begin with w and θ at the received model."""
        return {"w": received["model"], "theta": received["model"]}, {}

    def step(self, carry: State, batch: Samples, context: State) -> tuple[State, Tensor]:
        """Return w and θ after a local round, and the loss of θ before it."""
        lam, eta, task = self.parameters.lam, self.parameters.eta, self.task
        w, theta, losses = carry["w"], carry["theta"], []
        for _ in range(self.parameters.inner_steps):
            g, loss = task.gradient(theta, batch)
            g = task.on_parameters(g + lam * (theta - w), g)
            theta, state = task.descend(theta, g, carry)
            carry = {**carry, **state}
            losses.append(loss)
        w = task.on_parameters(w - eta * lam * (w - theta), theta)
        return {**carry, "w": w, "theta": theta}, losses[0]

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Keep θ, upload w."""
        return {"theta": carry["theta"]}, {"model": carry["w"]}

    def personal(self, state: State, served: Message) -> Tensor:
        """Return θ."""
        return state["theta"]

    def generic(self, state: State, served: Message) -> Tensor:
        """Return the global model."""
        return served["model"]
