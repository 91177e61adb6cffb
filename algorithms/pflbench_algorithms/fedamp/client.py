"""FedAMP's client half: min_w F_k(w) + λ/(2α) ‖w - u_k‖² (Huang et al. 2021, equation 7)."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from pflbench.method import Client, LocalData, Message, State
from pflbench_algorithms.fedamp import FedAMP


class FedAMPClient(Client[FedAMP]):
    """Keeps its own model w; the cloud model u_k that it receives only draws it."""

    personal_model: ClassVar[Literal["kept", "served"]] = "kept"
    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ()

    def initial_state(self) -> State:
        """Every client starts from the shared initial model."""
        return {"w": self.task.initial}

    def enrol(self, data: LocalData) -> Message:
        """Upload nothing."""
        return {}

    def join(self, state: State, received: Message) -> State:
        """Start as a new client from the mean cloud model."""
        return {"w": received["model"]}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Continue from w, with u_k in mind."""
        return {"w": state["w"]}, {"u": received["model"]}

    def proximal(self, context: State) -> tuple[Tensor, Tensor]:
        """Return λ/α and u_k."""
        strength = self.parameters.lam / self.parameters.alpha
        return self.task.initial.new_tensor(strength), context["u"]

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Keep w and upload it."""
        return {"w": carry["w"]}, {"model": carry["w"]}

    def personal(self, state: State, served: Message) -> Tensor:
        """Return w."""
        return state["w"]
