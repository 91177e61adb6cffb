"""Methods that are not defined for clients that fail, are slow, come late or leave."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pflbench.method import AveragingServer, Client, LocalData, Message, Rows, Samples, Setup, State


class LateComersOutsideState(AveragingServer[Any]):
    """Keeps in no checkpoint who enrolled late, and weighs these double."""

    def __init__(self, parameters: Any, setup: Setup) -> None:
        super().__init__(parameters, setup)
        self.calls, self.late = 0, list[int]()

    def enrol(self, clients: Tensor, messages: list[dict[str, Tensor]]) -> None:
        self.calls += 1
        self.late += clients.tolist() if self.calls > 1 else []
        super().enrol(clients, messages)

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        late = torch.tensor([2.0 if i in self.late else 1.0 for i in cohort.tolist()])
        n = self.samples[cohort].to(self.w.dtype) * late
        self.w = (n / n.sum()) @ uploads["model"]


class DividesByInvited(AveragingServer[Any]):
    """Takes it that whoever was sent to uploads."""

    invited = 0

    def send(self, round: int, cohort: Tensor) -> Rows:
        self.invited = len(cohort)
        return super().send(round, cohort)

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        self.w = uploads["model"].sum(dim=0) / self.invited


class LearnsInTheEnd(Client[Any]):
    """Keeps what it learnt only if it did all of the steps that it expected to do."""

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        budget = self.task.budget
        batches = torch.ceil(data.train.mask.sum() / budget.batch_size)
        expected = (
            batches * budget.epochs if budget.epochs else torch.tensor(float(budget.steps or 0))
        )
        return {"w": received["model"], "left": expected}, {}

    def step(self, carry: State, batch: Samples, context: State) -> tuple[State, Tensor]:
        stepped, loss = super().step(carry, batch, context)
        return {**stepped, "left": carry["left"] - 1}, loss

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        return state, {"model": torch.where(carry["left"] > 0, received["model"], carry["w"])}


class WaitsForUploads(AveragingServer[Any]):
    """Sends nothing before what it sent was answered."""

    waiting = False

    def send(self, round: int, cohort: Tensor) -> Rows:
        if self.waiting:
            raise RuntimeError("nobody has answered")
        self.waiting = True
        return super().send(round, cohort)

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        self.waiting = False
        super().aggregate(round, cohort, uploads)


class EnrolsOnce(AveragingServer[Any]):
    """Forgets who enrolled before whenever somebody enrols."""

    def enrol(self, clients: Tensor, messages: list[dict[str, Tensor]]) -> None:
        self.samples.fill_(1)
        super().enrol(clients, messages)


class SaysItForgot(AveragingServer[Any]):
    """Says that nothing is left, and keeps its model."""

    def forget(self, clients: Tensor) -> str:
        super().forget(clients)
        return ""


class TellsOtherNames(AveragingServer[Any]):
    """Tells of itself under a name of each round's own."""

    def telemetry(self, round: int) -> dict[str, float]:
        return {f"norm_{round}": float(self.w.norm())}


class TellsTheCohort(AveragingServer[Any]):
    """Tells of itself under a name that the table has."""

    def telemetry(self, round: int) -> dict[str, float]:
        return {"cohort": 1.0}
