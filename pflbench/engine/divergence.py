"""Refusing to continue with models that are not finite."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pflbench.engine.interface import Trained
from pflbench.errors import DivergedError


def refuse_divergence(trained: Trained, clients: Sequence[int], r: int) -> None:
    """Refuse a training loss of round r that became NaN or infinite.

    Raises
    ------
    DivergedError
        It names the round, the client and the step, counted from 1.
    """
    diverged = trained.diverged.tolist()
    for client, step in zip(clients, diverged, strict=True):
        if step >= 0:
            raise DivergedError(round=r + 1, client=client, step=step + 1)


def refuse_ruined_models(losses: Tensor, clients: Sequence[int], rounds: int) -> None:
    """Refuse models that their last step ruined, which no training loss shows."""
    for client, finite in zip(clients, losses.isfinite().tolist(), strict=True):
        if not finite:
            raise DivergedError(round=rounds, client=client, step=None)
