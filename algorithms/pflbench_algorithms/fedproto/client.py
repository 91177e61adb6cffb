"""FedProto's client half (Tan et al. 2022): L = L_S(w; x, y) + λ · L_R(φ(x); C̄(y)).

φ is the network up to its last layer, C̄(j) the global prototype of class j. As in the official
code, L_R is the mean of (φ(x) - C̄(y))² over a batch and the features.
"""

from __future__ import annotations

from math import log
from typing import ClassVar, Literal

import torch
from torch import Tensor

from pflbench.method import Client, LocalData, Message, Samples, State
from pflbench_algorithms.class_features import class_means, class_sums, feature_size
from pflbench_algorithms.fedproto import FedProto

LEAST = 1e-6
"""Probability of a class that a client has not met: its loss is large, but a number."""


class FedProtoClient(Client[FedProto]):
    """Keeps its model w; uploads its prototypes, met in its last epoch of local training."""

    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ("train",)

    def initial_state(self) -> State:
        """Begin with the shared initial model, and no class met."""
        return {"w": self.task.initial, "met": self.task.initial.new_zeros(self.task.classes)}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Begin with the own model; `counts` are the training samples of the classes."""
        none = torch.zeros_like(state["met"])
        w, D = state["w"], feature_size(self.task.layout)
        carry = {"w": w, "sums": none.unsqueeze(1).expand(-1, D), "seen": none}
        _, counts = class_sums(data.train.mask.unsqueeze(1), data.train, self.task.classes)
        return carry, {**received, "counts": counts}

    def step(self, carry: State, batch: Samples, context: State) -> tuple[State, Tensor]:
        """Do a step of w, and count the batch's features as they were before it."""
        task, λ = self.task, self.parameters.lam
        of_class = context["prototypes"][batch.y]
        counted = context["known"][batch.y] * batch.mask / batch.mask.sum().clamp(min=1)

        def loss(w: Tensor) -> tuple[Tensor, Tensor]:
            φ = task.features(w, batch.x)
            L_S = task.cross_entropy(task.classify(w, φ), batch)
            L_R = counted @ (φ.flatten(1) - of_class).square().mean(dim=1)
            return L_S + λ * L_R, φ

        change, value, φ = task.grad_value_and_more(loss)(carry["w"])
        w, state = self.descend(carry["w"], change, carry, context)
        sums, seen = class_sums(φ.detach(), batch, task.classes)
        # A batch that no longer fits into an epoch of the client's samples begins the next epoch.
        same = (carry["seen"].sum() + seen.sum() <= context["counts"].sum()).to(seen)
        sums, seen = same * carry["sums"] + sums, same * carry["seen"] + seen
        return {**carry, **state, "w": w, "sums": sums, "seen": seen}, value

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Upload the prototypes, and how much each counts: 0 for a class without one."""
        there = (carry["seen"] > 0).to(carry["seen"])
        counts = context["counts"] if self.parameters.weighting == "samples" else 1.0
        upload = {"prototypes": class_means(carry["sums"], carry["seen"]), "weight": there * counts}
        return {"w": carry["w"], "met": (context["counts"] > 0).to(there)}, upload

    def personal(self, state: State, served: Message) -> Tensor:
        """Return w."""
        return state["w"]

    def predict(self, state: State, served: Message, x: Tensor) -> Tensor:
        """Return log softmax(-‖φ(x) - C̄(j)‖²) over the classes j that the client has met.

        Without any prototype of them, the last layer predicts.
        """
        w, met = state["w"], state["met"]
        φ = self.task.features(w, x)
        by_layer = torch.log_softmax(self.task.classify(w, φ), dim=-1)
        if self.parameters.prediction == "classifier":
            return by_layer
        allowed = (served["known"] > 0) & ((met > 0) | (met.sum() == 0))
        C̄ = served["prototypes"]
        d = torch.cdist(φ.flatten(1), C̄, compute_mode="donot_use_mm_for_euclid_dist").square()
        log_h = torch.log_softmax((-d).masked_fill(~allowed, torch.finfo(d.dtype).min), dim=-1)
        return torch.where(allowed.any(), log_h.clamp(min=log(LEAST)), by_layer)
