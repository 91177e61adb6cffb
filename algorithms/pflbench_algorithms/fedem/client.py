"""FedEM's client half (Marfoq et al. 2021, Algorithm 1): p(y|x) = Σ_m π_m h_θm(x)_y.

E step: q_i(m) ∝ π_m exp(-l(h_θm(x_i), y_i)), π_m = mean of q_i(m). M step: for each m, local SGD
of the mean of q_i(m) l(h_θm(x_i), y_i).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import vmap

from pflbench.method import Client, LocalData, Message, Samples, State, Task
from pflbench_algorithms.fedem import FedEM


class FedEMClient(Client[FedEM]):
    """Trains all M components θ, and keeps its own shares π of them."""

    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ("train",)

    def __init__(self, parameters: FedEM, task: Task) -> None:
        super().__init__(parameters, task)
        self.gradients_per_step = parameters.components

    def initial_state(self) -> State:
        """Begin with equal shares."""
        M = self.parameters.components
        return {"pi": self.task.initial.new_full((M,), 1 / M)}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Do the E step with the received θ."""
        theta, mask = received["models"], data.train.mask
        pi = self.responsibilities(theta, state["pi"], data.train) @ mask / mask.sum()
        # The engine asks for a row "w": the first component, a copy of which moves with the others.
        carry = {"w": theta[0], "theta": theta, **self.task.optimiser_state(theta)}
        return carry, {"theta": theta, "before": state["pi"], "pi": pi}

    def step(self, carry: State, batch: Samples, context: State) -> tuple[State, Tensor]:
        """Do a step of every component on its share of the batch; return the sum of the losses.

        q is that of the E step, computed again: a batch does not say which samples it holds.
        """

        def objective(w: Tensor, q: Tensor) -> Tensor:
            losses = F.cross_entropy(self.task.logits(w, batch.x), batch.y, reduction="none")
            return (q * losses * batch.mask).sum() / batch.mask.sum().clamp(min=1.0)

        q = self.responsibilities(context["theta"], context["before"], batch)
        slope = vmap(self.task.grad_and_value(objective), randomness="different")
        change, losses = slope(carry["theta"], q)
        theta, state = self.task.descend(carry["theta"], change, carry)
        return {**carry, **state, "w": theta[0], "theta": theta}, losses.sum()

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Keep π; upload the components."""
        return {"pi": context["pi"]}, {"models": carry["theta"]}

    def personal(self, state: State, served: Message) -> Tensor:
        """Return the component of the largest share."""
        return served["models"].index_select(0, state["pi"].argmax().reshape(1)).squeeze(0)

    def predict(self, state: State, served: Message, x: Tensor) -> Tensor:
        """Return log Σ_m π_m h_θm(x)."""
        each = self._log_probabilities(served["models"], x)
        return torch.logsumexp(state["pi"].log()[:, None, None] + each, dim=0)

    def responsibilities(self, theta: Tensor, pi: Tensor, samples: Samples) -> Tensor:
        """Return q [M, n] of samples, of components [M, P] with shares π [M]."""
        each = self._log_probabilities(theta, samples.x)
        true = samples.y[None, :, None].expand(len(theta), -1, 1)
        return torch.softmax(pi.log()[:, None] + each.gather(-1, true).squeeze(-1), dim=0)

    def _log_probabilities(self, theta: Tensor, x: Tensor) -> Tensor:
        """Return log h_θm(x), [M, n, C]."""
        outputs = vmap(lambda w: self.task.logits(w, x, training=False))(theta)
        return torch.log_softmax(outputs, dim=-1)
