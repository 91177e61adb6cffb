"""Clients that keep the model they trained, round after round."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from torch import Tensor

from pflbench.method import Client, LocalData, Message, State


class KeptClient(Client[Any]):
    """Continues from its own model w, and sends nothing: Local's client half."""

    personal_model: ClassVar[Literal["kept", "served"]] = "kept"
    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ()

    def initial_state(self) -> State:
        """Every client starts from the shared initial model."""
        return {"w": self.task.initial}

    def enrol(self, data: LocalData) -> Message:
        """Upload nothing."""
        return {}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Continue from w."""
        return {"w": state["w"]}, {}

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Keep w."""
        return {"w": carry["w"]}, {}

    def personal(self, state: State, served: Message) -> Tensor:
        """Return w."""
        return state["w"]
