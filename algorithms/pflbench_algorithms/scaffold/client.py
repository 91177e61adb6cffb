"""SCAFFOLD's client half (Karimireddy et al. 2020, Algorithm 1, lines 7 to 14)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from pflbench.errors import InputError
from pflbench.method import Client, LocalData, Message, Sgd, State, Task
from pflbench_algorithms.scaffold import Scaffold


class ScaffoldClient(Client[Scaffold]):
    """Goes down g - c_k + c, and then knows its own mean gradient: its control variate c_k."""

    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ()

    def __init__(self, parameters: Scaffold, task: Task) -> None:
        super().__init__(parameters, task)
        sgd = task.optimiser
        if not isinstance(sgd, Sgd) or not sgd.plain:
            raise InputError(
                "SCAFFOLD reads a client's mean gradient off its SGD steps, and so is defined for "
                "SGD only: expected the optimizer sgd, without dampening and Nesterov's momentum."
            )
        self.momentum = sgd.momentum

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
        x, y, S = received["model"], carry["w"], self._weight_of(carry["steps"])
        change = (x - y) / (S * self.task.rate) - received["control"]
        change = self.task.on_parameters(change, torch.zeros_like(y))
        kept = {"control": state["control"] + change}
        return kept, {"model": y, "control": received["size"] * change}

    def _weight_of(self, steps: Tensor) -> Tensor:
        """Return the sum of weights that the steps' gradients have in (x - y) / η.

        It is S without momentum. With momentum μ, the gradient that j steps see counts
        1 + μ + ... + μʲ⁻¹ = (1 - μʲ) / (1 - μ) times, and these add up over j = 1 ... S.
        """
        mu = self.momentum
        return (steps - mu * (1 - mu**steps) / (1 - mu)) / (1 - mu)
