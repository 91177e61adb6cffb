"""FedNova's client half: d_i = (x - x_i) / ‖a_i‖₁, up to η (Wang et al. 2020, section 4)."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from pflbench.method import Client, Message, State, Task
from pflbench_algorithms.fednova import FedNova
from pflbench_algorithms.gradient_weights import momentum_of, weight_of


class FedNovaClient(Client[FedNova]):
    """Uploads its change, divided by the weight of its gradients in it."""

    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ()

    def __init__(self, parameters: FedNova, task: Task) -> None:
        super().__init__(parameters, task)
        self.momentum = momentum_of(task, "FedNova", "divides by the weight of its SGD steps")

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Upload the normalised change and ‖a_i‖₁, which is τ_i without momentum."""
        change: Tensor = carry["w"] - received["model"]
        a = weight_of(carry["steps"], self.momentum)
        return state, {"change": self.task.on_parameters(change / a, change), "weight": a}
