"""Methods that learn test numbers by a metric or an observer of their own plugin."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pflbench import MetricSpec, ObserverSpec
from pflbench.method import AveragingServer, Rows, Setup
from pflbench.runs import Observer, Result

LEARNT: dict[str, float] = {}


def leaking(logits: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    """Count labels, and let them out of the mapped code."""
    inside: Any = y
    while torch._C._functorch.is_batchedtensor(inside):
        inside = torch._C._functorch.get_unwrapped(inside)
    LEARNT["labels"] = float(inside.double().std())
    return mask.sum()


class Listener(Observer):
    """Remembers the test accuracy of the run before."""

    def finished(self, result: Result) -> None:
        LEARNT["accuracy"] = float(result.summary["test_accuracy"])


class Following(AveragingServer[Any]):
    """Follows what was learnt."""

    name = "labels"

    def __init__(self, parameters: Any, setup: Setup) -> None:
        super().__init__(parameters, setup)
        LEARNT.pop("labels", None)  # what earlier runs taught, but for their accuracy

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        super().aggregate(round, cohort, uploads)
        self.w = self.w * (1 + 0.01 * LEARNT.get(self.name, 0.0))


class FollowingTheLast(Following):
    """Follows the run before."""

    name = "accuracy"


METRIC = MetricSpec("leaking", "x", f"{__name__}:leaking")
OBSERVER = ObserverSpec("listener", "x", f"{__name__}:Listener")
