"""pFedHN's client half: local training with clipped gradients; the upload is the row's change.

Shamsian et al. 2021, Algorithm 1, and section 3.3 for the personal classifier.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from pflbench.errors import InputError
from pflbench.method import Client, LocalData, Message, State, Task
from pflbench_algorithms.pfedhn import PFedHN


def clip_norm(g: Tensor, limit: float) -> Tensor:
    """Return g [P], scaled down to norm `limit` if it is longer."""
    scale: Tensor = (limit / (torch.linalg.vector_norm(g) + 1e-6)).clamp(max=1.0)
    return g * scale


class PFedHNClient(Client[PFedHN]):
    """Starts from its row θ, and uploads Δθ = θ - θ̃."""

    def __init__(self, parameters: PFedHN, task: Task) -> None:
        super().__init__(parameters, task)
        if task.layout.buffers:
            raise InputError(
                "pFedHN writes every column of a client's row by a hypernetwork, and a running "
                "variance written so may be negative: expected a network without running "
                "statistics, normalised by GroupNorm or LayerNorm."
            )

    def enrol(self, data: LocalData) -> Message:
        """Upload nothing."""
        return {}

    def gradient(self, g: Tensor, w: Tensor, context: State) -> Tensor:
        """Return the clipped gradient."""
        return clip_norm(g, self.parameters.clip_norm)

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Upload θ - θ̃, the difference that training made."""
        return state, {"delta": received["model"] - carry["w"]}


class PFedHNPCClient(PFedHNClient):
    """Gets its body from the hypernetwork, and keeps its classifier with its momentum."""

    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ()

    def __init__(self, parameters: PFedHN, task: Task) -> None:
        super().__init__(parameters, task)
        head = task.layout.head_columns().to(task.initial.device)
        self.body, self.head = (~head).nonzero().flatten(), head.nonzero().flatten()
        self.order = torch.cat([self.body, self.head]).argsort()

    def joined(self, body: Tensor, head: Tensor) -> Tensor:
        """Return the row [P] made of a body and a head."""
        return torch.cat([body, head])[self.order]

    def initial_state(self) -> State:
        """Every client starts from the shared initial model's classifier."""
        head = self.task.initial[self.head]
        return {"head": head, "head_momentum": torch.zeros_like(head)}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Put the received body under the own head; the head's momentum continues."""
        body = received["model"]
        return {
            "w": self.joined(body, state["head"]),
            "momentum": self.joined(torch.zeros_like(body), state["head_momentum"]),
        }, {}

    def gradient(self, g: Tensor, w: Tensor, context: State) -> Tensor:
        """Clip the body's gradient; the head's is not clipped."""
        return self.joined(clip_norm(g[self.body], self.parameters.clip_norm), g[self.head])

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Keep the head, upload the body's change."""
        w, momentum = carry["w"], carry["momentum"]
        kept = {"head": w[self.head], "head_momentum": momentum[self.head]}
        return kept, {"delta": received["model"] - w[self.body]}

    def personal(self, state: State, served: Message) -> Tensor:
        """Return the served body under the own head."""
        return self.joined(served["model"], state["head"])
