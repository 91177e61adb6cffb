"""L2GD's client half: x_k ← x̄ + (1 - θ)^m (x_k - x̄), then local steps (Hanzely and Richtárik 2020).

m aggregations in a row, x_k ← (1 - θ) x_k + θ x̄, leave x̄ as it is, so that they are one.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from pflbench.method import Client, LocalData, Message, State
from pflbench_algorithms.l2gd import L2GD


class L2GDClient(Client[L2GD]):
    """Keeps its model x_k; sends it only before an aggregation."""

    personal_model: ClassVar[Literal["kept", "served"]] = "kept"
    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ()

    def initial_state(self) -> State:
        """x_k is the shared initial model."""
        return {"x": self.task.initial}

    def join(self, state: State, received: Message) -> State:
        """Start as a new client from the mean."""
        return {"x": received["model"]}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Do the round's aggregations, if there are any."""
        x = state["x"]
        if "mean" in received:
            mean = received["mean"]
            x = mean + (1 - self.parameters.theta) ** received["aggregations"] * (x - mean)
        return {"w": x}, {}

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Keep x_k; upload it if the next round begins with an aggregation."""
        x = carry["w"]
        return {"x": x}, {"model": x} if "wanted" in received else {}

    def personal(self, state: State, served: Message) -> Tensor:
        """Return x_k."""
        return state["x"]
