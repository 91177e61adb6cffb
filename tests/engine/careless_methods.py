"""A server that writes to the rows that it sent, and a client that keeps these."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from torch import Tensor

from pflbench.method import Client, Message, Rows, Server, Setup, State


class KeepsReceived(Client[Any]):
    """Keeps what it received, and uploads its model."""

    personal_model: ClassVar[Literal["kept", "served"]] = "kept"

    def initial_state(self) -> State:
        return {"kept": self.task.initial}

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        return {"kept": received["model"]}, {"model": carry["w"]}

    def personal(self, state: State, served: Message) -> Tensor:
        return state["kept"]


class OneModelEach(Server[Any]):
    """Has a model for each client, which it sends without a copy."""

    def __init__(self, parameters: Any, setup: Setup) -> None:
        super().__init__(parameters, setup)
        self.models = setup.initial.repeat(setup.clients, 1)

    def send(self, round: int, cohort: Tensor) -> Rows:
        return {"model": self.models if len(cohort) == len(self.models) else self.models[cohort]}

    def serve(self, clients: Tensor) -> Rows:
        return {"model": self.models[clients]}

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        self.models[cohort] = uploads["model"]

    def state(self) -> dict[str, Tensor]:
        return {"models": self.models}
