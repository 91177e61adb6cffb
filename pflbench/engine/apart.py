"""Running a cell independently of earlier work in the process, without leaving traces."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from pflbench.ending import unending
from pflbench.engine.drawing import undrawn
from pflbench.isolation import put, read, suite


@contextmanager
def apart(seed: int = 0) -> Iterator[None]:
    """Set global state to the suite's values for the body of a `with`.

    The shared random generators are seeded from the seed (`reseed`). Afterwards everything is
    restored. Code in the body that would end the process raises `PluginError` instead.
    """
    before = read()
    with undrawn(torch.device("cpu")), torch.inference_mode(False), unending():
        try:
            put(suite())
            reseed(seed, 0)
            with warnings.catch_warnings():
                yield
        finally:
            put(before)


def reseed(seed: int, round: int) -> None:
    """Seed the shared random generators from the seed and the round.

    A method that draws from them, against the rules, then gives the same numbers after any
    earlier work and whether or not it was resumed.
    """
    number = (seed * 1_000_003 + round) % 2**32
    random.seed(number)
    np.random.seed(number)
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # PyTorch's own
        torch.cuda.manual_seed_all(number)
