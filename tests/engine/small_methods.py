"""Client halves that override one place each, for comparing the engines."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pflbench.method import Client, LocalBudget, LocalData, Message, Samples, State


class OwnLoss(Client[Any]):
    """Pulls towards the received model inside the loss, harder where the batch is larger."""

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        return {"w": received["model"]}, {"received": received["model"]}

    def loss(self, w: Tensor, batch: Samples, context: State) -> Tensor:
        pull = (w - context["received"]).square().sum()
        return self.task.loss(w, batch) + 0.1 * batch.mask.sum() * pull


class OwnGradient(Client[Any]):
    """Normalised gradients."""

    def gradient(self, g: Tensor, w: Tensor, context: State) -> Tensor:
        return g / (1.0 + torch.linalg.vector_norm(g)) + 0.01 * w


class OwnAfterStep(Client[Any]):
    """Goes half a step, and back towards what it received."""

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        return {"w": received["model"]}, {"received": received["model"]}

    def after_step(self, w: Tensor, before: Tensor, context: State) -> Tensor:
        return 0.5 * (w + before) - 0.1 * (before - context["received"])


class AllSmallPlaces(OwnLoss):
    """Loss, gradient and what happens after a step, all at once."""

    def gradient(self, g: Tensor, w: Tensor, context: State) -> Tensor:
        return g.clamp(-0.5, 0.5)

    def after_step(self, w: Tensor, before: Tensor, context: State) -> Tensor:
        return w.clamp(-0.4, 0.4)


class Proximal(OwnAfterStep):
    """Stays near what it received, each client as strongly as it is large, by its objective."""

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        strength = 0.1 * data.train.mask.sum()
        return {"w": received["model"]}, {"received": received["model"], "strength": strength}

    def proximal(self, context: State) -> tuple[Tensor, Tensor]:
        return context["strength"], 0.9 * context["received"]

    def after_step(self, w: Tensor, before: Tensor, context: State) -> Tensor:
        return w


class Pulled(Proximal):
    """Stays near what it received, by a pull and by its objective."""

    def pull(self, context: State) -> tuple[Tensor, Tensor]:
        return 0.1 * context["strength"], context["received"] - 0.01


class AllTerms(Pulled):
    """Overrides every place that a step has."""

    def loss(self, w: Tensor, batch: Samples, context: State) -> Tensor:
        return self.task.loss(w, batch) + 0.1 * w.square().sum()

    def gradient(self, g: Tensor, w: Tensor, context: State) -> Tensor:
        return g / (1.0 + torch.linalg.vector_norm(g))

    def after_step(self, w: Tensor, before: Tensor, context: State) -> Tensor:
        return 0.5 * (w + before)


class PulledByStep(Pulled):
    """The same, through `Client.step` as it is written down."""

    def step(self, carry: State, batch: Samples, context: State) -> tuple[State, Tensor]:
        return super().step(carry, batch, context)


class AllTermsByStep(AllTerms):
    """The same, through `Client.step` as it is written down."""

    def step(self, carry: State, batch: Samples, context: State) -> tuple[State, Tensor]:
        return super().step(carry, batch, context)


class OwnStep(Client[Any]):
    """Two gradients a step (the second at a point ahead), and a counter in the carry."""

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        w = received["model"]
        return {"w": w, "count": w.new_zeros(()), "average": w}, {}

    def step(self, carry: State, batch: Samples, context: State) -> tuple[State, Tensor]:
        w, sgd = carry["w"], self.task.optimiser
        g, loss = self.task.gradient(w, batch)
        ahead, _ = self.task.gradient(w - sgd.lr * g, batch)
        w = w - sgd.lr * ahead
        return {
            **carry,
            "w": w,
            "count": carry["count"] + batch.mask.sum(),
            "average": 0.9 * carry["average"] + 0.1 * w,
        }, loss

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        return state, {"model": carry["average"], "seen": carry["count"]}


class OwnTrain(Client[Any]):
    """One gradient over everything that the plan would have shown, batch by batch."""

    def train(self, carry: State, batches: Samples, context: State) -> tuple[State, Tensor]:
        w, losses = carry["w"], []
        total = torch.zeros_like(w)
        for s in range(len(batches.y)):
            batch = Samples(batches.x[s], batches.y[s], batches.mask[s])
            g, loss = self.task.gradient(w - 0.01 * total, batch)
            total = total + g * batch.mask.sum()
            losses.append(loss)
        return {**carry, "w": w - self.task.optimiser.lr * total}, torch.stack(losses)


class StartsWithData(Client[Any]):
    """Looks at its training and validation samples before it begins, gradients included."""

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        w = received["model"]
        g, loss = self.task.gradient(w, data.train)
        better = self.task.loss(w - 0.1 * g, data.val) < self.task.loss(w, data.val)
        size = data.train.mask.sum()
        return {"w": torch.where(better, w - 0.1 * g, w)}, {"loss": loss, "size": size}

    def gradient(self, g: Tensor, w: Tensor, context: State) -> Tensor:
        return g * context["loss"] / context["size"].sqrt()


class KeepsState(Client[Any]):
    """Keeps a model, a counter and its momentum from round to round; uploads two kinds."""

    personal_model = "kept"

    def initial_state(self) -> State:
        w = self.task.initial
        return {"own": w, "momentum": torch.zeros_like(w), "rounds": torch.tensor(0)}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        w = 0.5 * (state["own"] + received["model"])
        return {"w": w, "momentum": state["momentum"]}, {}

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        kept = {
            "own": carry["w"],
            "momentum": 0.5 * carry["momentum"],
            "rounds": state["rounds"] + 1,
        }
        return kept, {"model": carry["w"], "change": carry["w"] - received["model"]}

    def personal(self, state: State, served: Message) -> Tensor:
        return state["own"]


class Adapted(Client[Any]):
    """FedAvg's, with plain SGD before evaluation."""

    def adaptation(self) -> LocalBudget:
        return LocalBudget(4, epochs=3)


class Failing(Client[Any]):
    """A plugin with a bug."""

    def gradient(self, g: Tensor, w: Tensor, context: State) -> Tensor:
        raise ZeroDivisionError("a bug in a plugin")
