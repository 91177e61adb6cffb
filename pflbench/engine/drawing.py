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
        return (
            self.python != now.python
            or repr(self.numpy) != repr(now.numpy)
            or not np.array_equal(self.numpy["state"].get("key"), now.numpy["state"].get("key"))
            or not torch.equal(self.cpu, now.cpu)
            or (self.gpu is not None and now.gpu is not None and not torch.equal(self.gpu, now.gpu))
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
    """Let the shared generators be what they were after the body of a `with`."""
    before = Generators.now(device)
    try:
        yield
    finally:
        before.put_back()


@contextmanager
def drawing_weights(seed: int) -> Iterator[None]:
    """Let networks that are made in a `with` draw their weights from the stream (seed, "init").

    The shared generators of PyTorch (on a CPU), NumPy and Python are seeded by it, and are
    afterwards what they were.
    """
    number = torch_stream(seed, "init").initial_seed()
    with undrawn(torch.device("cpu")):
        random.seed(number)
        np.random.seed(number % 2**32)
        torch.default_generator.manual_seed(number)
        yield
