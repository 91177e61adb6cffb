"""A method's server half: it sees uploads only, never data; a cohort's uploads are a matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from pflbench.method.layout import Layout

P = TypeVar("P")

Rows = dict[str, Tensor]
"""Messages or states of K clients, stacked: every tensor has a leading dimension K."""


@dataclass(frozen=True)
class Setup:
    """What a server knows before anybody enrols.

    Attributes
    ----------
    layout
        The columns of a row.
    initial
        [P] the initial model.
    clients
        Number of clients N.
    classes
        Number of classes C.
    seed
        The run's seed; draw from `pflbench.streams` with a role of your own.
    """

    layout: Layout
    initial: Tensor
    clients: int
    classes: int
    seed: int


class Server(Generic[P]):
    """Base of all server halves; as it stands, it sends nothing and learns nothing (Local)."""

    def __init__(self, parameters: P, setup: Setup) -> None:
        self.parameters, self.setup = parameters, setup

    def enrol(self, clients: Tensor, messages: list[dict[str, Tensor]]) -> None:
        """Take what clients [K] uploaded when they enrolled, one message each."""

    def send(self, round: int, cohort: Tensor) -> Rows:
        """Return what each client of the cohort [K] receives at the start of a round."""
        return {}

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Learn from what the cohort's clients [K] uploaded."""

    def serve(self, clients: Tensor) -> Rows:
        """Return what clients [K] receive to be evaluated; must change nothing."""
        return {}

    def state(self) -> dict[str, Tensor]:
        """Return everything that rounds change, for a checkpoint.

        The default takes every attribute that is a tensor; a server with modules or optimisers
        overrides this and `restore`.
        """
        return {k: v for k, v in vars(self).items() if isinstance(v, Tensor)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up a state that `state` returned."""
        for name, value in state.items():
            setattr(self, name, value)


class AveragingServer(Server[P]):
    """A global model: the average of the uploads, weighted by training samples.

    McMahan et al. 2017 (arXiv 1602.05629), Algorithm 1: w = Σ_k (n_k / n) w_k, over the cohort.

    Attributes
    ----------
    w
        [P] the global model.
    samples
        [N] training samples of each client.
    """

    def __init__(self, parameters: P, setup: Setup) -> None:
        super().__init__(parameters, setup)
        self.w = setup.initial.clone()
        self.samples = torch.zeros(setup.clients, dtype=torch.int64, device=self.w.device)

    def enrol(self, clients: Tensor, messages: list[dict[str, Tensor]]) -> None:
        """Learn the clients' sample counts."""
        self.samples[clients] = torch.stack([m["samples"] for m in messages]).to(self.samples)

    def send(self, round: int, cohort: Tensor) -> Rows:
        """Send the global model to everyone."""
        return self.serve(cohort)

    def serve(self, clients: Tensor) -> Rows:
        """Return the global model, one row a client."""
        return {"model": self.w.expand(len(clients), -1)}

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Average the rows: w = pᵀW with p the cohort's sample shares."""
        n = self.samples[cohort].to(self.w.dtype)
        self.w = (n / n.sum()) @ uploads["model"]
