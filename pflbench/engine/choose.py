"""Which engine, which chunk, which device: chosen by rule, so that a run can be repeated.

A timed probe would choose faster here and there, but differently from one time to the next, and
a choice changes the last digits of a run. So the rule is fixed, and a flag overrides it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from pflbench.engine.base import Engine
from pflbench.engine.sequential import SequentialEngine
from pflbench.engine.stacked import StackedEngine
from pflbench.errors import InputError, UnknownNameError
from pflbench.method import Task

ENGINES = ("auto", "stacked", "sequential")

# Rows of W, momentum and gradient that fit the second-level caches of a CPU; on an accelerator
# a chunk is limited by memory only.
_CPU_CHUNK_BYTES = 9 * 2**20
_GPU_CHUNK_BYTES = 8 * 2**30


def choose_engine(name: str, module: nn.Module, device: torch.device) -> str:
    """Resolve "auto": convolutions on a CPU are faster one after the other, all else stacked.

    Raises
    ------
    UnknownNameError
        The name is none of `ENGINES`.
    """
    if name not in ENGINES:
        raise UnknownNameError("engine", name, ENGINES)
    if name != "auto":
        return name
    convolves = any(isinstance(m, nn.Conv1d | nn.Conv2d | nn.Conv3d) for m in module.modules())
    return "sequential" if convolves and device.type == "cpu" else "stacked"


def make_engine(name: str, task: Task, *, chunk: int | None = None) -> Engine:
    """Make the engine "stacked" or "sequential"; `chunk` rows train together (default: by rule)."""
    if name == "sequential":
        return SequentialEngine(task)
    if name != "stacked":
        raise UnknownNameError("engine", name, ("stacked", "sequential"))
    if chunk is not None and chunk < 1:
        raise InputError(f"A chunk of {chunk} rows trains nobody: expected at least 1.")
    return StackedEngine(task, chunk or default_chunk(task))


def default_chunk(task: Task) -> int:
    """Return how many rows train together."""
    budget = _CPU_CHUNK_BYTES if task.initial.device.type == "cpu" else _GPU_CHUNK_BYTES
    row = 3 * task.layout.columns * task.initial.element_size()
    return max(1, min(512, budget // row))


def choose_device(name: str) -> torch.device:
    """Resolve "auto" or a device's name, "cpu", "cuda", "cuda:1", "mps".

    Raises
    ------
    InputError
        There is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, ImportError) as error:
        raise InputError(
            f"The device {name!r} is not there. Devices here: {', '.join(_devices())}."
        ) from error
    if device.type == "meta":
        raise InputError(f"The device 'meta' computes nothing. Here: {', '.join(_devices())}.")
    return device


def _devices() -> list[str]:
    found = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    backends: Any = torch.backends
    if hasattr(backends, "mps") and backends.mps.is_available():
        found.append("mps")
    return found
