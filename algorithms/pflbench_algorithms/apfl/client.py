"""APFL's client half (Deng, Kamani, Mahdavi 2020, Algorithm 1): v̄ = α v + (1 - α) w."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from pflbench.method import Client, LocalData, Message, Samples, State
from pflbench_algorithms.apfl import APFL

DECAY = 0.02
"""Coefficient of α in its own update, of the official code."""


class APFLClient(Client[APFL]):
    """Trains the received w as FedAvg does, and v for the mixture of the two.

    It keeps v, α, and its own w as local training left it.
    """

    gradients_per_step = 2
    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ()

    def initial_state(self) -> State:
        """Both models are the shared initial one."""
        alpha = self.task.initial.new_tensor(self.parameters.alpha)
        return {"v": self.task.initial, "w": self.task.initial, "alpha": alpha}

    def join(self, state: State, received: Message) -> State:
        """Start as a new client from the global model: v = w."""
        return {**state, "v": received["model"], "w": received["model"]}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Begin at the received w, and at v and v̄ as they were left."""
        v, w, alpha = state["v"], state["w"], state["alpha"]
        fresh = {f"v_{name}": t for name, t in self.task.optimiser_state(v).items()}
        mixed = alpha * v + (1 - alpha) * w
        return {"w": received["model"], "v": v, "mixed": mixed, "alpha": alpha, **fresh}, {}

    def step(self, carry: State, batch: Samples, context: State) -> tuple[State, Tensor]:
        """Do a step of w and of v; return the loss of the mixture."""
        if self.parameters.mixture == "outputs":
            return self._step_of_outputs(carry, batch)
        task, alpha, v, w = self.task, carry["alpha"], carry["v"], carry["w"]
        slope, _ = task.gradient(w, batch)
        mixed, loss = task.gradient(carry["mixed"], batch)  # ∇f(v̄), at the old point as well
        if self._learns_alpha:
            alpha = (alpha - task.rate * self._along(v - w, mixed)).clamp(0, 1)
        w, state = task.descend(w, slope, carry)
        v, own = task.descend(v, carry["alpha"] * mixed, self._own(carry))
        v = task.on_parameters(v, carry["mixed"] - mixed)
        mixed = task.on_parameters(alpha * v + (1 - alpha) * w, v)
        moved = {"w": w, "v": v, "mixed": mixed, "alpha": alpha}
        return {**carry, **state, **{f"v_{name}": t for name, t in own.items()}, **moved}, loss

    def _step_of_outputs(self, carry: State, batch: Samples) -> tuple[State, Tensor]:
        """W moves first; v is then trained for α v(x) + (1 - α) w(x), w being the new one."""
        task, alpha = self.task, carry["alpha"]
        slope, _ = task.gradient(carry["w"], batch)
        w, state = task.descend(carry["w"], slope, carry)

        def of_v(v: Tensor) -> Tensor:
            return task.cross_entropy(self._outputs(alpha, v, w, batch.x), batch)

        def of_w(w: Tensor) -> Tensor:
            return task.cross_entropy(self._outputs(alpha, carry["v"], w, batch.x), batch)

        by_v, loss = task.grad_and_value(of_v)(carry["v"])
        v, own = task.descend(carry["v"], by_v, self._own(carry))
        if self._learns_alpha:
            by_w, _ = task.grad_and_value(of_w)(w)
            along = self._along(v - w, alpha * by_v + (1 - alpha) * by_w)
            alpha = (alpha - task.rate * (along + DECAY * alpha)).clamp(0, 1)
        moved = {"w": w, "v": v, "alpha": alpha}
        return {**carry, **state, **{f"v_{name}": t for name, t in own.items()}, **moved}, loss

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Keep v, α and the local w; upload w."""
        return {name: carry[name] for name in ("v", "w", "alpha")}, {"model": carry["w"]}

    def personal(self, state: State, served: Message) -> Tensor:
        """Return α v + (1 - α) w with the averaged w."""
        return state["alpha"] * state["v"] + (1 - state["alpha"]) * served["model"]

    def predict(self, state: State, served: Message, x: Tensor) -> Tensor:
        """Return what the mixture predicts; of outputs, with the client's own w."""
        if self.parameters.mixture == "parameters":
            return super().predict(state, served, x)
        outputs = self._outputs(state["alpha"], state["v"], state["w"], x)
        return torch.log_softmax(outputs, dim=-1)

    @property
    def _learns_alpha(self) -> bool:
        return self.parameters.adaptive_alpha and self.task.step == 0

    def _outputs(self, alpha: Tensor, v: Tensor, w: Tensor, x: Tensor) -> Tensor:
        return alpha * self.task.logits(v, x) + (1 - alpha) * self.task.logits(w, x)

    def _along(self, direction: Tensor, g: Tensor) -> Tensor:
        trained = self.task.layout.trained
        return direction[:trained] @ g[:trained]

    @staticmethod
    def _own(carry: State) -> State:
        """Return the state of v's optimiser."""
        return {name.removeprefix("v_"): t for name, t in carry.items() if name.startswith("v_")}

    def generic(self, state: State, served: Message) -> Tensor:
        """Return the global model."""
        return served["model"]
