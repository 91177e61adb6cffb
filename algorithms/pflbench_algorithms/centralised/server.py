"""The server half of Global: plain training of one model on the pooled samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pflbench.method import Rows, Samples, Server, Setup
from pflbench.streams import stream


class PoolingServer(Server[Any]):
    """Trains w on all samples that were uploaded, as a loop of one optimiser over batches.

    Attributes
    ----------
    w
        [P] the model.
    x, y, owner
        [n, ...] inputs, [n] labels, [n] the client of each sample, ascending.
    """

    def __init__(self, parameters: Any, setup: Setup) -> None:
        super().__init__(parameters, setup)
        assert setup.task is not None  # given in every run
        self.task = setup.task
        self.w = setup.initial.clone()
        self.y = torch.zeros(0, dtype=torch.int64, device=self.w.device)
        self.owner, self.x = self.y, self.w.new_zeros(0)
        for name, value in self.task.optimiser_state(self.w).items():
            setattr(self, f"optimiser_{name}", value)

    def enrol(self, clients: Tensor, messages: list[dict[str, Tensor]]) -> None:
        """Add the clients' samples to the pool, in the order of clients."""
        sizes = torch.tensor([len(m["y"]) for m in messages], device=clients.device)
        owner = torch.cat([self.owner, clients.repeat_interleave(sizes)])
        before = [self.x] if len(self.y) else []
        x = torch.cat(before + [m["x"] for m in messages])
        y = torch.cat([self.y] + [m["y"] for m in messages])
        order = owner.argsort(stable=True)
        self.x, self.y, self.owner = x[order], y[order], owner[order]

    def batches(self, round: int) -> list[np.ndarray]:
        """Return the indices of a round's batches: as many steps as all clients would do.

        With local epochs, as many passes over the pool; with local steps, that many for each
        client that has enrolled.
        """
        budget, n = self.task.budget, len(self.y)
        rng = stream(self.setup.seed, "global batches", round)
        width = min(budget.batch_size, n)
        if budget.epochs is None:
            assert budget.steps is not None  # a budget has exactly one of the two
            steps = budget.steps * len(set(self.owner.tolist()))
            return [rng.choice(n, width, replace=False) for _ in range(steps)]
        orders = [rng.permutation(n) for _ in range(budget.epochs)]
        return [order[i : i + width] for order in orders for i in range(0, n, width)]

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Train; the optimiser's state is kept from round to round."""
        task, device = self.task, self.w.device
        names = list(task.optimiser_state(self.w))
        state = {name: getattr(self, f"optimiser_{name}") for name in names}
        gradient, w = task.grad_and_value(task.loss), self.w
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices):  # dropout draws from it
            torch.manual_seed(int(stream(self.setup.seed, "global draws", round).integers(2**62)))
            for s, index in enumerate(self.batches(round)):
                there = torch.from_numpy(index).to(device)
                batch = Samples(self.x[there], self.y[there], w.new_ones(len(index)))
                with task.stepping(s):
                    g, _ = gradient(w, batch)
                    w, state = task.descend(w, g, state)
        self.w = w
        for name, value in state.items():
            setattr(self, f"optimiser_{name}", value)

    def gradients(self, round: int) -> int:
        """Return the steps of a round."""
        return len(self.batches(round))

    def serve(self, clients: Tensor) -> Rows:
        """Return the model to all clients."""
        return {"model": self.w.expand(len(clients), -1)}

    def forget(self, clients: Tensor) -> str:
        """Delete their samples; the model that learnt from them stays."""
        stay = ~torch.isin(self.owner, clients)
        self.x, self.y, self.owner = self.x[stay], self.y[stay], self.owner[stay]
        return "" if torch.equal(self.w, self.setup.initial) else "their part in the global model"
