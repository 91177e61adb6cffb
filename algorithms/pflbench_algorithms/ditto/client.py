"""Ditto's client half (Li, Hu, Beirami, Smith 2021, Algorithm 1).

The global objective is FedAvg's; the personal one is min_v F_k(v) + λ/2 ‖v - w_received‖².
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from torch import Tensor

from pflbench.method import Client, LocalData, Message, Phase, State
from pflbench_algorithms.ditto import Ditto


class DittoClient(Client[Ditto]):
    """Trains the received model w, then its own v on the same batches."""

    personal_model: ClassVar[Literal["kept", "served"]] = "kept"
    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ()

    def initial_state(self) -> State:
        """V is the shared initial model."""
        return {"v": self.task.initial}

    def join(self, state: State, received: Message) -> State:
        """Start as a new client from the global model: v = w."""
        return {"v": received["model"]}

    def phases(self) -> Sequence[Phase]:
        """Return the two models' training."""
        return Phase("global"), Phase("personal", model="v")

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Begin at the received model and at v."""
        return {"w": received["model"], "v": state["v"]}, {"received": received["model"]}

    def proximal(self, context: State) -> tuple[Tensor, Tensor]:
        """Return λ and the received model, for v alone."""
        strength = self.parameters.lam if self.task.phase == "personal" else 0.0
        return self.task.initial.new_tensor(strength), context["received"]

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Keep v, upload w."""
        return {"v": carry["v"]}, {"model": carry["w"]}

    def personal(self, state: State, served: Message) -> Tensor:
        """Return v."""
        return state["v"]

    def generic(self, state: State, served: Message) -> Tensor:
        """Return the global model."""
        return served["model"]
