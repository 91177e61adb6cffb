"""SCAFFOLD's client half (Karimireddy et al. 2020, Algorithm 1, lines 7 to 14)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from pflbench.method import Client, LocalData, Message, State, Task
from pflbench_algorithms.gradient_weights import momentum_of, weight_of
from pflbench_algorithms.scaffold import Scaffold


class ScaffoldClient(Client[Scaffold]):
    """Goes down g - c_k + c, and then knows its own mean gradient: its control variate c_k."""

    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ()

    def __init__(self, parameters: Scaffold, task: Task) -> None:
        super().__init__(parameters, task)
        reason = "reads a client's mean gradient off its SGD steps"
        self.momentum = momentum_of(task, "SCAFFOLD", reason)

    def initial_state(self) -> State:
        """c_k = 0."""
        return {"control": torch.zeros_like(self.task.initial)}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Y = x; the correction c / g_k - c_k, g_k being 1 unless clients are weighed."""
        correction = received["control"] / received["size"] - state["control"]
        return {"w": received["model"]}, {"correction": correction}

    def gradient(self, g: Tensor, w: Tensor, context: State) -> Tensor:
        """Return g - c_k + c."""
        return g + context["correction"]

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Option II: c_k⁺ = c_k - c + (x - y) / (S η). Upload y and c_k⁺ - c_k."""
        x, y = received["model"], carry["w"]
        S = weight_of(carry["steps"], self.momentum)
        change = (x - y) / (S * self.task.rate) - received["control"]
        change = self.task.on_parameters(change, torch.zeros_like(y))
        kept = {"control": state["control"] + change}
        return kept, {"model": y, "control": received["size"] * change}
