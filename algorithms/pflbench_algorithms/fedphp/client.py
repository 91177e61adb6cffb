"""FedPHP's client half: min_w (1 - λ) F_k(w) + λ R(w, h_k); then h_k ← μ h_k + (1 - μ) w.

h_k is the inherited private model (Li et al. 2021), and R how far w is from what it teaches.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from pflbench.method import Client, LocalData, Message, Samples, State
from pflbench_algorithms.fedphp import FedPHP

KERNELS = 5
"""Gaussian kernels, each twice as wide as the one before; the middle one as the mean distance."""


class FedPHPClient(Client[FedPHP]):
    """Keeps h_k and the number of rounds that made it; the received model w is trained."""

    personal_model: ClassVar[Literal["kept", "served"]] = "kept"
    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ()

    def initial_state(self) -> State:
        """h_k is the shared initial model."""
        return {"h": self.task.initial, "rounds": self.task.initial.new_zeros(())}

    def join(self, state: State, received: Message) -> State:
        """Start as a new client from the global model."""
        return {**state, "h": received["model"]}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Begin at the received model, with h_k in mind."""
        return {"w": received["model"]}, {"h": state["h"]}

    def loss(self, w: Tensor, batch: Samples, context: State) -> Tensor:
        """Return (1 - λ) cross entropy + λ R."""
        task, lam, h = self.task, self.parameters.lam, context["h"]
        if self.parameters.transfer == "kd":
            logits = task.logits(w, batch.x)
            taught = torch.softmax(
                task.logits(h, batch.x, training=False) / self.parameters.temperature, dim=-1
            )
            each = -(taught * torch.log_softmax(logits, dim=-1)).sum(dim=-1)
            teaching = (each * batch.mask).sum() / batch.mask.sum().clamp(min=1.0)
        else:
            z = task.features(w, batch.x)
            logits = task.classify(w, z)
            other = task.features(h, batch.x, training=False)
            teaching = discrepancy(z.flatten(1), other.flatten(1), batch.mask)
        return (1 - lam) * task.cross_entropy(logits, batch) + lam * teaching

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Let w into h_k, the less the more rounds it holds; upload w."""
        w, rounds = carry["w"], state["rounds"]
        mu = self.parameters.mu * (rounds / self.parameters.horizon).clamp(max=1.0)
        return {"h": mu * state["h"] + (1 - mu) * w, "rounds": rounds + 1}, {"model": w}

    def personal(self, state: State, served: Message) -> Tensor:
        """Return h_k."""
        return state["h"]

    def generic(self, state: State, served: Message) -> Tensor:
        """Return the global model."""
        return served["model"]


def discrepancy(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    """Return the maximum mean discrepancy (a scalar) of samples a and b [n, D], masked by [n]."""
    both, there = torch.cat([a, b]), torch.cat([mask, mask])
    pairs = there.unsqueeze(0) * there.unsqueeze(1)
    squares = both.square().sum(dim=1)
    distances = (squares.unsqueeze(0) + squares.unsqueeze(1) - 2 * both @ both.T).clamp(min=0.0)
    count = there.sum().clamp(min=2.0)
    width = (distances * pairs).sum().detach() / (count * (count - 1)) + 1e-8
    kernels = sum(
        torch.exp(-distances / (width * 2.0 ** (i - KERNELS // 2))) for i in range(KERNELS)
    )
    sign = torch.cat([torch.ones_like(mask), -torch.ones_like(mask)])
    signs = sign.unsqueeze(0) * sign.unsqueeze(1)
    total: Tensor = (kernels * pairs * signs).sum() / mask.sum().clamp(min=1.0).square()
    return total
