"""The random generators that all code of a process shares: PyTorch's, NumPy's and Python's."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pflbench.streams import torch_stream


@dataclass(frozen=True, eq=False)
class Generators:
    """The states of the shared generators at a time.

    Attributes
    ----------
    device
        The device of a run; a GPU has a generator of its own.
    """

    device: torch.device
    python: Any
    numpy: dict[str, Any]
    cpu: Tensor
    gpu: Tensor | None

    @staticmethod
    def now(device: torch.device) -> Generators:
        """Return the present states."""
        gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        legacy: Any = np.random.get_state(legacy=False)
        return Generators(device, random.getstate(), legacy, torch.get_rng_state(), gpu)

    def moved(self) -> bool:
        """Return whether any of them has drawn since, or was seeded."""
        now = Generators.now(self.device)
        return not self._same_elsewhere(now) or not self._same_in_torch(now)

    def moved_only_torch(self) -> bool:
        """Return whether PyTorch's have drawn since, and neither NumPy's nor Python's."""
        now = Generators.now(self.device)
        return self._same_elsewhere(now) and not self._same_in_torch(now)

    def _same_elsewhere(self, now: Generators) -> bool:
        return (
            self.python == now.python
            and repr(self.numpy) == repr(now.numpy)
            and np.array_equal(self.numpy["state"].get("key"), now.numpy["state"].get("key"))
        )

    def _same_in_torch(self, now: Generators) -> bool:
        return torch.equal(self.cpu, now.cpu) and (
            self.gpu is None or now.gpu is None or torch.equal(self.gpu, now.gpu)
        )

    def put_back(self) -> None:
        """Set them to these states."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.cpu)
        if self.gpu is not None:
            torch.cuda.set_rng_state(self.gpu, self.device)


@contextmanager
def undrawn(device: torch.device) -> Iterator[None]:
    """Restore the shared generators after the body of a `with`."""
    before = Generators.now(device)
    try:
        yield
    finally:
        before.put_back()


@contextmanager
def drawing_weights(seed: int) -> Iterator[None]:
    """Let networks that are made in a `with` draw their weights from the stream (seed, "init").

    The shared generators of PyTorch (on a CPU), NumPy and Python are seeded by it, and are
    restored afterwards.
    """
    number = torch_stream(seed, "init").initial_seed()
    with undrawn(torch.device("cpu")):
        random.seed(number)
        np.random.seed(number % 2**32)
        torch.default_generator.manual_seed(number)
        yield
