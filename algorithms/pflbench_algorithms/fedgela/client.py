"""FedGELA's client half (Fan et al. 2023): the outputs are those of Φ_k W on the features.

W [C, D] is a simplex equiangular tight frame of vectors of length √E_W, the same for all and never
trained. Client k trains the body under Φ_k W, where Φ_k is diagonal: C times its shares of classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from pflbench.errors import InputError
from pflbench.method import Client, Columns, LocalData, Message, Phase, State, Task
from pflbench_algorithms.fedgela import FedGELA


class FedGELAClient(Client[FedGELA]):
    """Trains and shares the body; keeps its model as local training left it."""

    personal_model: ClassVar[Literal["kept", "served"]] = "kept"
    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ("train",)

    def __init__(self, parameters: FedGELA, task: Task) -> None:
        super().__init__(parameters, task)
        self.head = task.layout.block("head")
        self.simplex = parameters.scale * simplex_near(_classifier(task))

    def private(self) -> Columns:
        """Return the columns of the classifier: every client can compute them."""
        return self.head

    def phases(self) -> Sequence[Phase]:
        """Return the only phase: the classifier is frozen."""
        return (Phase(columns=self.task.layout.block("body")),)

    def initial_state(self) -> State:
        """Begin with the shared initial body under W."""
        return {"w": self.under(self.simplex, self.head.rest.take(self.task.initial))}

    def join(self, state: State, received: Message) -> State:
        """Start as a new client from the global body under W."""
        return {"w": self.under(self.simplex, received["model"])}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Put the received body under Φ_k W."""
        y, mask = data.train.y, data.train.mask
        members = F.one_hot(y.clamp(min=0), self.task.classes).to(mask) * mask.unsqueeze(1)
        phi = self.task.classes * members.sum(dim=0) / mask.sum().clamp(min=1.0)
        return {"w": self.under(phi.unsqueeze(1) * self.simplex, received["model"])}, {}

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Keep the model, upload its body."""
        return {"w": carry["w"]}, {"model": self.head.rest.take(carry["w"])}

    def personal(self, state: State, served: Message) -> Tensor:
        """Return the kept model."""
        return state["w"]

    def generic(self, state: State, served: Message) -> Tensor:
        """Return the global body under W, which treats all classes alike."""
        return self.under(self.simplex, served["model"])

    def under(self, classifier: Tensor, body: Tensor) -> Tensor:
        """Return the row of a body's columns and a classifier [C, D] without bias."""
        layout = self.task.layout
        own = {
            name: classifier if name == f"{layout.head}weight" else torch.zeros_like(tensor)
            for name, tensor in layout.unflatten(self.task.initial).items()
        }
        return self.head.join(self.head.take(layout.flatten(own)), body)


def simplex_near(weight: Tensor) -> Tensor:
    """Return C unit vectors [C, D] with all cosines -1 / (C - 1), in the span of rows [C, D]."""
    C = len(weight)
    centred = torch.eye(C, dtype=torch.float64) - 1 / C
    corners = torch.linalg.qr(centred[:, : C - 1]).Q  # [C, C - 1], with corners cornersᵀ = centred
    span = torch.linalg.qr(weight[: C - 1].T.to("cpu", torch.float64)).Q  # [D, C - 1]
    frame: Tensor = (C / (C - 1)) ** 0.5 * corners @ span.T
    return frame.to(weight)


def _classifier(task: Task) -> Tensor:
    """Return the initial classifier [C, D].

    Raises
    ------
    InputError
        It is no linear layer, or has too few features for a simplex.
    """
    weight = task.layout.unflatten(task.initial).get(f"{task.layout.head}weight")
    if not task.layout.head or weight is None or weight.ndim != 2 or task.classes < 2:
        raise InputError(
            "FedGELA replaces the classifier by a fixed simplex: expected a network whose head is "
            "one linear layer, and at least two classes."
        )
    if weight.shape[1] < task.classes - 1:
        raise InputError(
            f"FedGELA needs C - 1 features for a simplex of C classes: expected at least "
            f"{task.classes - 1} inputs of the head, got {weight.shape[1]}."
        )
    return weight
