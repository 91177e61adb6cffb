"""The client half of the ensemble: Local's, which uploads its model."""

from __future__ import annotations

from math import log
from typing import ClassVar, Literal

import torch
from torch import Tensor

from pflbench.method import Message, State
from pflbench_algorithms.local.client import KeptClient


class VotingClient(KeptClient):
    """Trains w as Local does, and predicts the mean of p(y | x; w_m) over all models w_m."""

    personal_model: ClassVar[Literal["kept", "served"]] = "served"

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Keep w, and upload it."""
        return {"w": carry["w"]}, {"model": carry["w"]}

    def predict(self, state: State, served: Message, x: Tensor) -> Tensor:
        """Return log (1/M) Σ_m p(y | x; w_m), one model at a time: none needs the memory of all."""
        models = served["models"]
        total = torch.log_softmax(self.task.logits(models[0], x), dim=-1)
        for w in models[1:].unbind(0):
            total = torch.logaddexp(total, torch.log_softmax(self.task.logits(w, x), dim=-1))
        return total - log(len(models))
