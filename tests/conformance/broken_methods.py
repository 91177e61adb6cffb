"""Methods that break one rule each. The base is FedAvg, which breaks none."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pflbench import param
from pflbench.engine import Simulation
from pflbench.method import (
    AveragingServer,
    Client,
    Joining,
    LocalData,
    Message,
    Rows,
    Samples,
    Server,
    Setup,
    State,
    Task,
)


class Keeping(Client[Any]):
    """Local's client half: keeps its own model."""

    personal_model = "kept"

    def initial_state(self) -> State:
        return {"w": self.task.initial}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        return {"w": state["w"]}, {}

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        return {"w": carry["w"]}, {}

    def personal(self, state: State, served: Message) -> Tensor:
        return state["w"]


# Equivalence


class Unmappable(Client[Any]):
    """Branches on a tensor's value."""

    def gradient(self, g: Tensor, w: Tensor, context: State) -> Tensor:
        return g / 2 if float(g.norm()) > 1 else g


class CountsChunks(Client[Any]):
    """Does something else in every chunk of rows."""

    calls = 0

    def gradient(self, g: Tensor, w: Tensor, context: State) -> Tensor:
        self.calls += 1
        return g * (1 + 0.01 * self.calls)


class FirstComesFirst(AveragingServer[Any]):
    """Trusts whoever happens to be first in the cohort."""

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        self.w = (self.w + uploads["model"][0]) / 2


class WeighsOthers(AveragingServer[Any]):
    """Weighs the cohort by the sample counts of the first clients, whoever takes part."""

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        n = self.samples[: len(cohort)].to(self.w.dtype)
        self.w = (n / n.sum()) @ uploads["model"]


class Unseeded(AveragingServer[Any]):
    """Adds noise from the process's shared generator."""

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        super().aggregate(round, cohort, uploads)
        self.w = self.w + 0.01 * torch.randn(self.w.shape)


class Indifferent(Client[Any]):
    """Learns nothing, whatever the seed."""

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        return state, {"model": torch.ones_like(carry["w"])}

    def personal(self, state: State, served: Message) -> Tensor:
        return torch.ones_like(served["model"])


class Forgetful(AveragingServer[Any]):
    """Keeps a number that no checkpoint has."""

    def __init__(self, parameters: Any, setup: Setup) -> None:
        super().__init__(parameters, setup)
        self.rounds = 0

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        before = self.w
        super().aggregate(round, cohort, uploads)
        self.rounds += 1
        self.w = before + (self.w - before) / self.rounds


class Remembering(Client[Any]):
    """Keeps something on the object: a state that nobody restores."""

    last: Tensor | float = 0.0

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        mixed = carry["w"] + 0.01 * self.last
        self.last = carry["w"].detach()
        return state, {"model": mixed}


# Isolation


class LatestForAll(Keeping):
    """Evaluates whatever model was trained last, also for clients that were absent."""

    latest: Tensor | None = None

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        self.latest = carry["w"].detach().clone()
        return super().finish(state, carry, received, context)

    def personal(self, state: State, served: Message) -> Tensor:
        return state["w"] if self.latest is None else self.latest


class Peeping(Client[Any]):
    """Looks at the test data of the simulation that calls it."""

    hint = 0.0

    def enrol(self, data: LocalData) -> Message:
        frame: Any = sys._getframe()
        while frame is not None:
            caller = frame.f_locals.get("self")
            if isinstance(caller, Simulation):
                self.hint = float(caller.federation.test.x.mean())
            frame = frame.f_back
        return super().enrol(data)

    def gradient(self, g: Tensor, w: Tensor, context: State) -> Tensor:
        return g + 0.1 * self.hint


class Gossiping(Client[Any]):
    """Sees what other clients left in a variable of the class."""

    overheard: float = 0.0

    def enrol(self, data: LocalData) -> Message:
        type(self).overheard += float(data.train.x.mean())
        return super().enrol(data)

    def gradient(self, g: Tensor, w: Tensor, context: State) -> Tensor:
        return g + 0.1 * self.overheard


class HearingTheLast(Client[Any]):
    """Sees what the client that enrolled last left in a variable of the class."""

    overheard: float = 0.0

    def enrol(self, data: LocalData) -> Message:
        type(self).overheard = float(data.train.x.mean())
        return super().enrol(data)

    def gradient(self, g: Tensor, w: Tensor, context: State) -> Tensor:
        return g + 0.1 * self.overheard


SMUGGLED: list[Tensor] = []


class Smuggling(Client[Any]):
    """Passes its model by a side channel, and uploads nothing of it."""

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        SMUGGLED.append(carry["w"].detach().clone())
        return state, {"nothing": torch.zeros(1)}


class Receiving(AveragingServer[Any]):
    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        self.w = torch.stack(SMUGGLED[-len(cohort) :]).mean(dim=0)
        SMUGGLED.clear()
        SMUGGLED.append(self.w)


# Sizes


class Secure(AveragingServer[Any]):
    """Aggregates nothing unless there are two."""

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        if len(cohort) > 1:
            super().aggregate(round, cohort, uploads)


class AmongOthers(AveragingServer[Any]):
    """Divides by the number of the others."""

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        super().aggregate(round, cohort, uploads)
        others = torch.tensor(float(self.setup.clients - 1))
        self.w = self.w * (others / others)


class NeedsSamples(Client[Any]):
    """Does not train clients of few samples."""

    least = 2

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        enough = (data.train.mask.sum() >= self.least).to(torch.float32)
        return {"w": received["model"]}, {"enough": enough}

    def after_step(self, w: Tensor, before: Tensor, context: State) -> Tensor:
        return torch.where(context["enough"] > 0, w, before)


class NeedsABatch(NeedsSamples):
    least = 4


class CountsBatches(NeedsSamples):
    """Trains n // batch_size batches: none, if the batch is larger than the client."""

    def __init__(self, parameters: Any, task: Task) -> None:
        super().__init__(parameters, task)
        self.least = task.budget.batch_size if task.budget.batch_size > 100 else 0


class DropsLast(Client[Any]):
    """Follows full batches only, and decays otherwise."""

    def loss(self, w: Tensor, batch: Samples, context: State) -> Tensor:
        full = batch.mask.sum() >= self.task.budget.batch_size
        return torch.where(full, self.task.loss(w, batch), 1.0 + w.square().sum())


class TrainsOnPadding(Client[Any]):
    """Does not heed the mask."""

    def loss(self, w: Tensor, batch: Samples, context: State) -> Tensor:
        return F.cross_entropy(self.task.logits(w, batch.x), batch.y)


# Messages and metrics


class RestlessServer(AveragingServer[Any]):
    """Changes its model whenever it serves."""

    def serve(self, clients: Tensor) -> Rows:
        self.w = self.w * 0.99
        return {"model": self.w.expand(len(clients), -1)}


class OneForAll(AveragingServer[Any]):
    """Sends one row too many."""

    def send(self, round: int, cohort: Tensor) -> Rows:
        return {"model": self.w.expand(len(cohort) + 1, -1)}


class NotANumber(Client[Any]):
    """Serves a model that is no model."""

    def personal(self, state: State, served: Message) -> Tensor:
        return served["model"] * float("nan")


# New clients


class ExpectsLabels(AveragingServer[Any]):
    """Takes up new clients by what only those with labels tell."""

    def onboard(self, joining: Joining) -> Rows:
        told = torch.stack([message["samples"] for message in joining.messages])
        return {"model": self.w.expand(len(told), -1)}


class WastesLabels(AveragingServer[Any]):
    """Lets new clients train, and gives them the global model all the same."""

    def onboard(self, joining: Joining) -> Rows:
        model = self.w.expand(joining.count, -1)
        if joining.labelled:
            joining.train({"model": model})
        return {"model": model}


class LearnsFromNewClients(AveragingServer[Any]):
    """Keeps what new clients upload."""

    def onboard(self, joining: Joining) -> Rows:
        if joining.labelled:
            uploads = joining.train({"model": self.w.expand(joining.count, -1)}, 2)
            self.w = 0.9 * self.w + 0.1 * uploads["model"].mean(dim=0)
        return {"model": self.w.expand(joining.count, -1)}


class BranchingJoin(Keeping):
    """Branches on a tensor's value when it joins."""

    def join(self, state: State, received: Message) -> State:
        return {"w": state["w"] / 2} if float(state["w"].sum()) > 0 else state


class MixesNewClients(AveragingServer[Any]):
    """Gives new clients the mean of what they made together."""

    def onboard(self, joining: Joining) -> Rows:
        model = self.w.expand(joining.count, -1)
        if joining.labelled:
            mixed = joining.train({"model": model}, 2)["model"].mean(dim=0)
            model = mixed.expand(joining.count, -1)
        return {"model": model}


class NoClient:
    """Is not a client half."""

    personal_model = "kept"


class NoServer(Server[Any]):
    pass


# Parameters


@dataclass(frozen=True)
class BeyondItsBounds:
    mu: float = param(-1.0, "weight", ge=0)


@dataclass(frozen=True)
class WithoutHelp:
    mu: float = 1.0


@dataclass(frozen=True)
class WithoutReading:
    """A type that texts cannot be read as."""

    layers: tuple[int, ...] = param((1, 2), "widths")


@dataclass(frozen=True)
class Unbounded:
    """A bound that the type does not take."""

    mu: bool = param(False, "weight", ge=0, le=0.5)


@dataclass
class Thawed:
    mu: float = param(1.0, "weight", ge=0)
