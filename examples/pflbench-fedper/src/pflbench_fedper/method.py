"""FedPer's two halves: some columns of the federation's matrix are shared, the others private.

Arivazhagan, Aggarwal, Singh, Choudhary: Federated Learning with Personalization Layers, 2019,
arXiv 1912.00818, Algorithms 1 (client) and 2 (server).
"""

from __future__ import annotations

import torch
from torch import Tensor

from pflbench.errors import InputError
from pflbench.method import AveragingServer, Client, Layout, LocalData, Message, Setup, State, Task
from pflbench_fedper import FedPer


def private_columns(layout: Layout, personal_layers: int) -> Tensor:
    """Return [P] bool: which columns belong to the last `personal_layers` layers.

    Raises
    ------
    InputError
        No layer would be left to share.
    """
    layers = [name.rpartition(".")[0] for name in layout.names]
    distinct = list(dict.fromkeys(layers))
    if personal_layers >= len(distinct):
        raise InputError(
            f"fedper.personal_layers = {personal_layers} leaves nothing to share: the model has "
            f"{len(distinct)} layers, expected at most {len(distinct) - 1}."
        )
    private = set(distinct[-personal_layers:])
    parts = [
        torch.full((size,), layer in private)
        for layer, size in zip(layers, layout.sizes, strict=True)
    ]
    return torch.cat(parts)


class FedPerClient(Client[FedPer]):
    """Trains base and personal layers together; uploads the base."""

    def __init__(self, parameters: FedPer, task: Task) -> None:
        super().__init__(parameters, task)
        private = private_columns(task.layout, parameters.personal_layers)
        private = private.to(task.initial.device)
        self.base, self.own = (~private).nonzero().flatten(), private.nonzero().flatten()
        self.order = torch.cat([self.base, self.own]).argsort()

    def joined(self, base: Tensor, own: Tensor) -> Tensor:
        """Return the row [P] made of a base and personal layers."""
        return torch.cat([base, own])[self.order]

    def initial_state(self) -> State:
        """Start from the shared initial model's last layers."""
        return {"own": self.task.initial[self.own]}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Put the received base under the own layers."""
        return {"w": self.joined(received["model"], state["own"])}, {}

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Keep the personal layers, upload the base."""
        w = carry["w"]
        return {"own": w[self.own]}, {"model": w[self.base]}

    def personal(self, state: State, served: Message) -> Tensor:
        """Return the served base under the own layers."""
        return self.joined(served["model"], state["own"])


class FedPerServer(AveragingServer[FedPer]):
    """FedAvg on the base: it never sees a personal layer."""

    def __init__(self, parameters: FedPer, setup: Setup) -> None:
        super().__init__(parameters, setup)
        private = private_columns(setup.layout, parameters.personal_layers)
        self.w = self.w[~private.to(self.w.device)]
