"""Methods whose server remembers what it was told."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pflbench.method import AveragingServer, Client, LocalData, Message, Rows, Setup, State


class Listening(AveragingServer[Any]):
    """FedAvg's server, which keeps what it sent and what came back."""

    def __init__(self, parameters: Any, setup: Setup) -> None:
        super().__init__(parameters, setup)
        self.enrolled: list[Message] = []
        self.sent: list[Rows] = []
        self.heard: list[Rows] = []

    def enrol(self, clients: Tensor, messages: list[Message]) -> None:
        self.enrolled += messages
        super().enrol(clients, messages)

    def send(self, round: int, cohort: Tensor) -> Rows:
        self.sent.append(super().send(round, cohort))
        return self.sent[-1]

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        self.heard.append(uploads)
        super().aggregate(round, cohort, uploads)


class Talkative(Client[Any]):
    """FedAvg's client, which tells more: tensors that answer nothing, and numbers of samples."""

    def enrol(self, data: LocalData) -> Message:
        mean = data.train.x.mean(dim=0).flatten()
        return {
            "samples": torch.tensor(len(data.train.y)),
            "validation": torch.tensor(len(data.val.y)),
            "mean": mean,
            "largest": mean.max(),
        }

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        w = carry["w"]
        return state, {"model": w, "moment": w.cos(), "length": w.square().sum()}


class Indiscreet(Client[Any]):
    """Enrols with how many samples of each class it has, in whole numbers."""

    def enrol(self, data: LocalData) -> Message:
        classes = torch.bincount(data.train.y, minlength=self.task.classes)
        return {"samples": torch.tensor(len(data.train.y)), "classes": classes}


class Counting(Client[Any]):
    """Tells a whole number of a sample in every round."""

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        return {"w": received["model"]}, {"first": data.train.y[0]}

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        return state, {"model": carry["w"], "first": context["first"]}
