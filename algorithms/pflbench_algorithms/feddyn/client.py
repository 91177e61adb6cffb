"""FedDyn's client half (Acar et al. 2021, Algorithm 1, equation 1).

θ_k = argmin L_k(θ) - ⟨∇L_k(θ_k⁻), θ⟩ + α/2 ‖θ - θ_received‖², and the gradient that it remembers
is ∇L_k(θ_k) = ∇L_k(θ_k⁻) - α(θ_k - θ_received).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from pflbench.method import Client, LocalData, Message, State
from pflbench_algorithms.feddyn import FedDyn


class FedDynClient(Client[FedDyn]):
    """Remembers the sum of its drifts d = Σ(θ_k - θ_received), so that ∇L_k(θ_k) = -αd.

    The two terms of the objective are then one: α/2 ‖θ - (θ_received - d)‖² + const.
    """

    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ()

    def initial_state(self) -> State:
        """D = 0."""
        return {"drift": torch.zeros_like(self.task.initial)}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Start from the received model; α_k = α / g_k, g_k being 1 unless clients are weighed."""
        theta = received["model"]
        alpha = self.parameters.alpha / received["size"]
        return {"w": theta}, {"alpha": alpha, "anchor": theta - state["drift"]}

    def proximal(self, context: State) -> tuple[Tensor, Tensor]:
        """Return α_k and θ_received - d."""
        return context["alpha"], context["anchor"]

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """D ← d + θ_k - θ_received."""
        drift = carry["w"] - received["model"]
        drift = self.task.on_parameters(drift, torch.zeros_like(drift))
        return {"drift": state["drift"] + drift}, {"model": carry["w"]}
