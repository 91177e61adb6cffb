"""APPLE's client half (Luo and Wu 2022, section 3): w_i = Σ_j p_ij c_j of all core models c_j.

Client i trains its own c_i and its p_i: min F_i(w_i) + λ(r) μ/2 ‖p_i - p⁰‖², where p⁰ are the
clients' shares of samples. d_i = p_i - p⁰ is what it learns.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from pflbench.method import Client, LocalData, Message, Samples, State
from pflbench_algorithms.apple import APPLE

LAST = 0.001
"""λ at the end of an exponential decay, of the official code."""


class APPLEClient(Client[APPLE]):
    """Keeps w_i; c_i is trained as w of the carry."""

    personal_model: ClassVar[Literal["kept", "served"]] = "kept"
    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ()

    def initial_state(self) -> State:
        """Begin with the shared initial model."""
        return {"w": self.task.initial}

    def join(self, state: State, received: Message) -> State:
        """Start as a new client from the mixture with p⁰."""
        carry, context = self._begin(received)
        return {"w": self._mixed(carry, context)}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Begin at the received c_i and d_i."""
        return self._begin(received)

    def step(self, carry: State, batch: Samples, context: State) -> tuple[State, Tensor]:
        """Do a step of c_i along p_ii ∇F(w_i), and one of p_i, both from the old w_i."""
        task, w, d, n = self.task, carry["w"], carry["d"], self.task.layout.trained
        p_own = (context["p0"] + d) @ context["own"]
        g, loss = task.gradient(self._mixed(carry, context), batch)
        change = context["own"] * ((w - context["begun"])[:n] @ g[:n])
        slope = context["cores"][:, :n] @ g[:n] + change + self._strength() * d
        w, state = task.descend(w, task.on_parameters(p_own * g, g), carry)
        d = d - self.parameters.p_lr * task.schedule.factor(task.round) * slope
        return {**carry, **state, "w": w, "d": d}, loss

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Keep w_i; upload c_i and d_i."""
        return {"w": self._mixed(carry, context)}, {"model": carry["w"], "d": carry["d"]}

    def personal(self, state: State, served: Message) -> Tensor:
        """Return w_i."""
        return state["w"]

    def _begin(self, received: Message) -> tuple[State, State]:
        """Return the carry and the context of a message."""
        cores, p0 = received["cores"], received["p0"]
        own = (torch.arange(len(p0), device=p0.device) == received["number"]).to(p0)
        begun = own @ cores
        context = {"cores": cores, "p0": p0, "own": own, "begun": begun}
        return {"w": begun, "d": received["d"]}, context

    def _mixed(self, carry: State, context: State) -> Tensor:
        """Return w_i, with c_i as trained so far; running statistics are those of c_i."""
        w, p = carry["w"], context["p0"] + carry["d"]
        mixed = p @ context["cores"] + (p @ context["own"]) * (w - context["begun"])
        return self.task.on_parameters(mixed, w)

    def _strength(self) -> float:
        """Return λ(r) μ of the present round r."""
        chosen, done = self.parameters, self.task.round / self.parameters.horizon
        if done >= 1:
            return 0.0
        cosine = (1 + math.cos(math.pi * done)) / 2
        return chosen.mu * (cosine if chosen.decay == "cosine" else LAST**done)
