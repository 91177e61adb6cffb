"""Measuring contenders side by side, so that all see the same load."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from pflbench.engine import Simulation

Round = Callable[[], Any]


def side_by_side(
    contenders: Mapping[str, Round], times: int, device: torch.device | None = None
) -> dict[str, float]:
    """Return each contender's median seconds; they take turns, after one turn to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(times + 1):
        for name, play in contenders.items():
            began = time.perf_counter()
            play()
            if device is not None and device.type == "cuda":
                torch.cuda.synchronize(device)
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def rounds_of(played: Simulation) -> Round:
    """Return a function that plays a simulation's next round."""
    number = iter(range(10**9))
    return lambda: played.round(next(number))


def sgemm(device: torch.device | None = None, size: int = 2048) -> Round:
    """Return a large matrix product, `2 size³` operations: the rate that can be had at best."""
    a = torch.randn(size, size, device=device)
    b = torch.randn(size, size, device=device)
    out = torch.empty_like(a)
    return lambda: torch.mm(a, b, out=out)
