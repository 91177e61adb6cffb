"""The usual first implementation, for comparison: FedAvg as a loop over clients."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import nn

from pflbench.bench.workload import BUDGET, SGD, Workload


class PlainLoop:
    """A FedAvg round as a plain PyTorch loop over clients, tensors in memory, no loader.

    Parameters
    ----------
    work
        The federation and the network.
    fused
        Use PyTorch's fused SGD kernel.
    """

    def __init__(
        self, work: Workload, *, fused: bool = False, device: torch.device | None = None
    ) -> None:
        place = device or torch.device("cpu")
        train = work.federation.train
        self._data = [
            (x.to(place), y.to(place))
            for x, y in (train.client(i) for i in range(work.federation.clients))
        ]
        self._net = copy.deepcopy(work.module).to(place)
        self._w = nn.utils.parameters_to_vector(self._net.parameters()).detach()
        self._fused = fused

    def round(self) -> None:
        """Train every client from the global model, and average."""
        assert BUDGET.epochs is not None  # the workload's budget
        total = torch.zeros_like(self._w)
        for x, y in self._data:
            nn.utils.vector_to_parameters(self._w.clone(), self._net.parameters())
            optimiser = torch.optim.SGD(
                self._net.parameters(),
                SGD.lr,
                SGD.momentum,
                weight_decay=SGD.weight_decay,
                fused=self._fused or None,
            )
            for _ in range(BUDGET.epochs):
                order = torch.randperm(len(y), device=y.device)
                for batch in torch.split(order, BUDGET.batch_size):
                    optimiser.zero_grad()
                    torch.autograd.backward(F.cross_entropy(self._net(x[batch]), y[batch]))
                    optimiser.step()
            total += nn.utils.parameters_to_vector(self._net.parameters()).detach()
        self._w = total / len(self._data)
