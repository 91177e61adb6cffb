"""The server half of the ensemble: it collects the models, and sends all of them to all clients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pflbench.method import Joining, Rows, Server, Setup


class CollectingServer(Server[Any]):
    """Keeps each client's last upload.

    Attributes
    ----------
    latest
        Rows of N clients: their models.
    uploaded
        [N] whether a client has uploaded one.
    """

    def __init__(self, parameters: Any, setup: Setup) -> None:
        super().__init__(parameters, setup)
        self.latest = setup.storage.rows(setup.clients, setup.initial)
        self.uploaded = torch.zeros(setup.clients, dtype=torch.bool, device=setup.initial.device)

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Store the models."""
        self.latest.put(cohort, uploads["model"])
        self.uploaded[cohort] = True

    def serve(self, clients: Tensor) -> Rows:
        """Return all models [M, P], to all clients; the initial one before the first upload."""
        return {"models": self._models().expand(len(clients), -1, -1)}

    def onboard(self, joining: Joining) -> Rows:
        """Give new clients the same models."""
        return {"models": self._models().expand(joining.count, -1, -1)}

    def forget(self, clients: Tensor) -> str:
        """Delete their models."""
        self.latest.reset(clients)
        self.uploaded[clients] = False
        return ""

    def _models(self) -> Tensor:
        there = self.uploaded.nonzero().flatten()
        return self.latest.take(there) if len(there) else self.setup.initial[None]
