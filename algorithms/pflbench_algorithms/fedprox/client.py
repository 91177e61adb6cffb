"""FedProx's client half: min_w F_k(w) + μ/2 ‖w - w_received‖² (Li et al. 2020, equation 2)."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from pflbench.method import Client, LocalData, Message, State
from pflbench_algorithms.fedprox import FedProx


class FedProxClient(Client[FedProx]):
    """Adds the proximal term, whose gradient is μ(w - w_received)."""

    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ()

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Start from the received model, and remember it."""
        return {"w": received["model"]}, {"received": received["model"]}

    def proximal(self, context: State) -> tuple[Tensor, Tensor]:
        """Return μ and w_received."""
        return self.task.initial.new_tensor(self.parameters.mu), context["received"]
