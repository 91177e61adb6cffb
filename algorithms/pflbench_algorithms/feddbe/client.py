"""FedDBE's client half (Zhang et al. 2023, section 4).

With features z = f(x) and the classifier h, a client minimises over the model and its vector z̄ᵖ

    CE(h(z + z̄ᵖ), y) + κ/2 · mean over features of (z̄ - z̄ᵍ)²

where z̄ is its running mean feature and z̄ᵍ the consensus of all clients'.
"""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from pflbench.errors import InputError
from pflbench.method import Client, Layout, LocalData, Message, Samples, State, Task
from pflbench_algorithms.feddbe import FedDBE


class FedDBEClient(Client[FedDBE]):
    """Keeps z̄ᵖ. In the initialization period it only trains, and reports z̄."""

    preliminary_rounds = 1
    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ()

    def __init__(self, parameters: FedDBE, task: Task) -> None:
        super().__init__(parameters, task)
        self.head = LinearHead.of(task.layout)

    def initial_state(self) -> State:
        """z̄ᵖ = 0."""
        return {"vector": self.task.initial.new_zeros(self.head.features)}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Start from the received model, the own z̄ᵖ and z̄ = 0."""
        vector = state["vector"]
        carry = {"w": received["model"], "vector": vector, "mean": torch.zeros_like(vector)}
        return carry, {"consensus": received["consensus"], "known": received["known"]}

    def step(self, carry: State, batch: Samples, context: State) -> tuple[State, Tensor]:
        """Do a step of the model and one of z̄ᵖ, both at the old point."""
        task, w, vector, known = self.task, carry["w"], carry["vector"], context["known"]
        m, kappa = self.parameters.mean_momentum, self.parameters.kappa
        share = (batch.mask / batch.mask.sum().clamp(min=1.0)).unsqueeze(1)

        def objective(w: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            z = task.features(w, batch.x)
            mean = (1 - m) * carry["mean"] + m * (share * z).sum(dim=0)
            apart = (mean - context["consensus"]).square().mean()
            loss = task.cross_entropy(task.classify(w, z + vector), batch)
            return loss + known * kappa / 2 * apart, (z, mean)

        def of_vector(vector: Tensor) -> Tensor:
            return task.cross_entropy(task.classify(w, z + vector), batch)

        change, loss, (z, mean) = task.grad_value_and_more(objective)(w)
        z, mean = z.detach(), mean.detach()
        slope = torch.func.grad(of_vector)(vector)
        w, state = task.descend(w, change, carry)
        vector = vector - known * task.rate * slope
        return {**carry, **state, "w": w, "vector": vector, "mean": mean}, loss

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Keep z̄ᵖ; upload the model and z̄."""
        return {"vector": carry["vector"]}, {"model": carry["w"], "mean": carry["mean"]}

    def personal(self, state: State, served: Message) -> Tensor:
        """Return the model of x to h(z + z̄ᵖ): the global one, with A z̄ᵖ more in h's bias."""
        tensors = self.task.layout.unflatten(served["model"])
        A, b = tensors[self.head.weight], tensors[self.head.bias]
        return self.task.layout.flatten({**tensors, self.head.bias: b + A @ state["vector"]})


class LinearHead(NamedTuple):
    """The classifier h(z) = A z + b: names of A and b, and the number of features."""

    weight: str
    bias: str
    features: int

    @staticmethod
    def of(layout: Layout) -> LinearHead:
        """Return the classifier of a layout.

        Raises
        ------
        InputError
            It is no linear layer with a bias.
        """
        weight, bias = layout.head + "weight", layout.head + "bias"
        shapes = dict(zip(layout.names, layout.shapes, strict=True))
        if not layout.head or bias not in shapes or len(shapes.get(weight, ())) != 2:
            raise InputError(
                "FedDBE adds a vector to the classifier's inputs: expected a network whose head "
                "is one linear layer with a bias."
            )
        return LinearHead(weight, bias, shapes[weight][1])
