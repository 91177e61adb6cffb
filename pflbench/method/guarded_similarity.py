"""A plugin's measure of similarity as methods call it: checked, and named where it fails."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pflbench.errors import Misfit
from pflbench.isolation import Guard
from pflbench.method.client import Message
from pflbench.method.local_data import Samples
from pflbench.method.server import Rows, Setup
from pflbench.method.similarity import Similarity
from pflbench.method.task import Task


class GuardedSimilarity(Similarity):
    """A measure whose calls are guarded as those of a method are.

    Parameters
    ----------
    measure
        The plugin's.
    guard
        Names it.
    """

    def __init__(self, measure: Similarity, guard: Guard) -> None:
        super().__init__(measure.dim)
        self._measure, self._guard = measure, guard

    @property
    def numbers_per_pair(self) -> int:
        """Numbers in memory for each pair of clients during a comparison."""
        return self._measure.numbers_per_pair

    def describe(self, data: Samples, task: Task) -> Message:
        """Return a client's description of its training data."""
        with self._guard("describe"):
            return _tensors(self._measure.describe(data, task))

    def describe_inputs(self, data: Samples, task: Task) -> Message | None:
        """Return the description of a client without labels, None if labels are needed."""
        with self._guard("describe_inputs"):
            told = self._measure.describe_inputs(data, task)
            return None if told is None else _tensors(told)

    def prepare(self, told: Rows, clients: Tensor | None, setup: Setup) -> Rows:
        """Return what is compared [K, ...] of K clients."""
        with self._guard("prepare"):
            return _tensors(self._measure.prepare(told, clients, setup))

    def compare(self, some: Rows, others: Rows, best: int | None = None) -> Tensor:
        """Return the similarities [B, N] of B clients to N others."""
        with self._guard("compare"):
            found: Any = self._measure.compare(some, others, best)
            shape = [len(next(iter(rows.values()))) for rows in (some, others)]
            if not isinstance(found, Tensor):
                raise Misfit(f"it gives {type(found).__name__}, expected a tensor {shape}")
            if list(found.shape) != shape:
                raise Misfit(f"it gives {list(found.shape)}, expected {shape}")
            return found


def _tensors(given: Any) -> dict[str, Tensor]:
    if not isinstance(given, dict):
        raise Misfit(f"it gives {type(given).__name__}, expected tensors by name")
    for name, value in given.items():
        if not isinstance(value, Tensor):
            raise Misfit(f"it gives {name!r} as {type(value).__name__}, expected a tensor")
    return given
