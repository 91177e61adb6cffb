"""pFedGraph's client half: min_w F_i(w) - λ Σ_j G_ij cos(w, w_j) (Ye et al. 2023, equation 1).

The w_j are those of the last round, so that the sum is ⟨v, w⟩ / ‖w‖ with v = Σ_j G_ij w_j / ‖w_j‖.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from pflbench.method import Client, LocalData, Message, State
from pflbench_algorithms.pfedgraph import PFedGraph

TINY = 1e-12
"""A model's norm counts at least this much."""


class PFedGraphClient(Client[PFedGraph]):
    """Starts from its mixture of models, and stays in the direction of its neighbours."""

    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ()

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Start from Σ_j G_ij w_j, with v in mind."""
        return {"w": received["model"]}, {"v": received["direction"]}

    def gradient(self, g: Tensor, w: Tensor, context: State) -> Tensor:
        """Return g ∓ λ ∇⟨v, w⟩/‖w‖, that is, g ∓ λ (v - ⟨v, w⟩ w / ‖w‖²) / ‖w‖."""
        n = self.task.layout.trained
        v, own = context["v"][:n], w[:n]
        norm = torch.linalg.vector_norm(own).clamp(min=TINY)
        slope = (v - (v @ own) * own / norm**2) / norm
        change = self.parameters.similarity_sign * self.parameters.lam * slope
        return torch.cat([g[:n] + change, g[n:]])
