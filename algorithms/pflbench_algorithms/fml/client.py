"""FML's client half (Shen et al. 2020): two models that learn from the labels and each other.

The personal model v: min α CE(v) + (1 - α) KL(p_w ‖ p_v); the meme w, a copy of the global model:
min β CE(w) + (1 - β) KL(p_v ‖ p_w).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from pflbench.method import Client, LocalData, Message, Samples, State
from pflbench_algorithms.fml import FML


class FMLClient(Client[FML]):
    """Keeps v; the received model is trained as w."""

    personal_model: ClassVar[Literal["kept", "served"]] = "kept"
    gradients_per_step = 2
    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ()

    def initial_state(self) -> State:
        """Begin with the shared initial model as v."""
        return {"v": self.task.initial}

    def join(self, state: State, received: Message) -> State:
        """Start as a new client from the global model."""
        return {"v": received["model"]}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Fork the received model: w."""
        v = state["v"]
        fresh = {f"v_{name}": t for name, t in self.task.optimiser_state(v).items()}
        return {"w": received["model"], "v": v, **fresh}, {}

    def step(self, carry: State, batch: Samples, context: State) -> tuple[State, Tensor]:
        """Do a step of both models from the outputs before it; return the loss of v."""
        task, p = self.task, self.parameters

        def of_w(w: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            outputs = task.logits(w, batch.x)

            def of_v(v: Tensor) -> tuple[Tensor, Tensor]:
                own = task.logits(v, batch.x)
                return self._taught(p.alpha, own, outputs.detach(), batch), own.detach()

            by_v, loss, own = task.grad_value_and_more(of_v)(carry["v"])
            return self._taught(p.beta, outputs, own, batch), (by_v, loss)

        by_w, _, (by_v, loss) = task.grad_value_and_more(of_w)(carry["w"])
        w, state = task.descend(carry["w"], by_w, carry)
        mine = {name.removeprefix("v_"): t for name, t in carry.items() if name.startswith("v_")}
        v, mine = task.descend(carry["v"], by_v, mine)
        return {
            **carry,
            **state,
            **{f"v_{name}": t for name, t in mine.items()},
            "w": w,
            "v": v,
        }, loss

    def _taught(self, share: float, outputs: Tensor, teacher: Tensor, batch: Samples) -> Tensor:
        """Return share · CE + (1 - share) · KL(teacher ‖ outputs), means over the samples."""
        log_p, log_q = torch.log_softmax(teacher, dim=-1), torch.log_softmax(outputs, dim=-1)
        each = (log_p.exp() * (log_p - log_q)).sum(dim=-1)
        kl = (each * batch.mask).sum() / batch.mask.sum().clamp(min=1.0)
        return share * self.task.cross_entropy(outputs, batch) + (1 - share) * kl

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Keep v, upload w."""
        return {"v": carry["v"]}, {"model": carry["w"]}

    def personal(self, state: State, served: Message) -> Tensor:
        """Return v."""
        return state["v"]

    def generic(self, state: State, served: Message) -> Tensor:
        """Return the global model."""
        return served["model"]
