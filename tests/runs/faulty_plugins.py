"""Plugins that misbehave, and some that do not."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pflbench.method import Client, State
from pflbench.runs import Observer, Progress


class Flaky(Client[Any]):
    """Raises until it is told not to."""

    broken: ClassVar[bool] = True

    def gradient(self, g: Tensor, w: Tensor, context: State) -> Tensor:
        if self.broken:
            raise ZeroDivisionError("a bug in a plugin")
        return g


class BrokenConstructor(Client[Any]):
    """Cannot even be made."""

    def __init__(self, *arguments: Any) -> None:
        raise LookupError("no such constant")


def build_with_batch_statistics(parameters: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    width = torch.Size(shape).numel()
    norm = nn.BatchNorm1d(width, track_running_stats=False)
    return nn.Sequential(nn.Flatten(), norm, nn.Linear(width, classes))


def entropy(logits: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    p = logits.softmax(dim=-1)
    return (-(p * p.log()).sum(dim=-1) * mask).sum() / mask.sum()


class Listener(Observer):
    """Writes down what it hears of."""

    heard: ClassVar[list[str]] = []

    def started(self, info: Any) -> None:
        self.heard.append(f"started at {info.start_round}")

    def round_done(self, progress: Progress) -> None:
        self.heard.append(f"round {progress.round}")

    def finished(self, result: Any) -> None:
        self.heard.append("finished")

    def failed(self, error: Exception) -> None:
        self.heard.append(f"failed: {type(error).__name__}")

    def reused(self, result: Any) -> None:
        self.heard.append("reused")
