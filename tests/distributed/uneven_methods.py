"""A plugin whose methods do not do the same in every process."""

from __future__ import annotations

import os
import signal
from typing import Any

import torch
from torch import Tensor

from pflbench import AlgorithmSpec, hookimpl
from pflbench.method import AveragingServer, Client, Rows, State
from pflbench.runs import execution

RANK = int(os.environ.get("RANK", "0"))

if "STOP" in os.environ:
    execution.CHECKPOINT_SECONDS = -1.0  # after every round


class Raises(Client[Any]):
    """Has a bug that only the second process meets."""

    def gradient(self, g: Tensor, w: Tensor, context: State) -> Tensor:
        if RANK == 1:
            raise ZeroDivisionError("a bug in a plugin")
        return g


class Diverges(Client[Any]):
    """Has no finite loss."""

    def loss(self, w: Tensor, batch: Any, context: State) -> Tensor:
        return self.task.loss(w, batch) / 0.0


class RaisesFirst(AveragingServer[Any]):
    """Has a bug that only the first process meets, after it trained."""

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        if RANK == 0 and round == 1:
            raise LookupError("no such client")
        super().aggregate(round, cohort, uploads)


class OutOfStep(AveragingServer[Any]):
    """Sends rows of another shape in one process."""

    def send(self, round: int, cohort: Tensor) -> Rows:
        rows = super().send(round, cohort)
        return {**rows, "more": torch.zeros(len(cohort), 1 + RANK)}


class Echoes(Client[Any]):
    """Uploads what it received besides the model, too."""

    def finish(
        self, state: State, carry: State, received: State, context: State
    ) -> tuple[State, State]:
        return state, {"model": carry["w"], "more": received["more"]}


class Stops(AveragingServer[Any]):
    """Stops the second process, by the signal and in the round that STOP names."""

    def send(self, round: int, cohort: Tensor) -> Rows:
        name, _, when = os.environ.get("STOP", "").partition(":")
        if name and RANK == 1 and round == int(when):
            os.kill(os.getpid(), signal.Signals[name])
        return super().send(round, cohort)


class Drifts(AveragingServer[Any]):
    """Learns something else in each process, as rounding would make it, but faster."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.moved = torch.zeros_like(self.w)

    def send(self, round: int, cohort: Tensor) -> Rows:
        return {"model": super().send(round, cohort)["model"] + self.moved}

    def serve(self, clients: Tensor) -> Rows:
        return {"model": (self.w + self.moved).expand(len(clients), -1)}

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        super().aggregate(round, cohort, uploads)
        self.moved = self.moved + 1e-3 * RANK


_HERE = "uneven_methods"
_METHODS = {
    "raises": (f"{_HERE}:Raises", "pflbench.method:AveragingServer"),
    "diverges": (f"{_HERE}:Diverges", "pflbench.method:AveragingServer"),
    "raises-first": ("pflbench.method:Client", f"{_HERE}:RaisesFirst"),
    "out-of-step": (f"{_HERE}:Echoes", f"{_HERE}:OutOfStep"),
    "stops": ("pflbench.method:Client", f"{_HERE}:Stops"),
    "drifts": ("pflbench.method:Client", f"{_HERE}:Drifts"),
}


@hookimpl
def pflbench_algorithms() -> list[AlgorithmSpec]:
    return [
        AlgorithmSpec(name, "of a test", client=client, server=server)
        for name, (client, server) in _METHODS.items()
    ]
