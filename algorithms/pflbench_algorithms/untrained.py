"""A client half that trains nothing and sends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pflbench.method import Client, LocalData, Message, Phase, State


class UntrainedClient(Client[Any]):
    """Has no local training and no messages, in rounds and at enrolment."""

    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ()

    def phases(self) -> Sequence[Phase]:
        """Return none."""
        return ()

    def enrol(self, data: LocalData) -> Message:
        """Upload nothing."""
        return {}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Stay at the initial model."""
        return {"w": self.task.initial}, {}

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Keep the state."""
        return state, {}
