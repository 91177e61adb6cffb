"""Which engine, which chunk, which device: chosen by rule, so that a run can be repeated.

A timed probe would choose faster here and there, but differently from one time to the next, and
a choice changes the last digits of a run. So the rule is fixed, and a flag overrides it. It does
not depend on the number of cores.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from pflbench.engine.interface import Engine
from pflbench.engine.sequential import SequentialEngine
from pflbench.engine.stacked import StackedEngine
from pflbench.engine.threads import Sharing, cores_for, divide, step_operations
from pflbench.errors import InputError, UnknownNameError
from pflbench.method import Task

ENGINES = ("auto", "stacked", "sequential")

# Rows of W and momentum that fit the second-level caches of a CPU; on an accelerator
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
        raise InputError(f"A chunk of {chunk} rows trains no client: expected at least 1.")
    initial = task.initial
    by_rule = default_chunk(task.layout.columns, initial.dtype, initial.device)
    return StackedEngine(task, chunk or by_rule)


def default_chunk(columns: int, dtype: torch.dtype, device: torch.device) -> int:
    """Return the largest number of rows with this number of columns that train together."""
    budget = _CPU_CHUNK_BYTES if device.type == "cpu" else _GPU_CHUNK_BYTES
    row = 2 * columns * dtype.itemsize
    return max(1, min(512, budget // row))


def choose_sharing(
    engine: str,
    chunk: int | None,
    *,
    rows: int,
    columns: int,
    width: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Sharing:
    """Resolve how a cohort of `rows` clients is shared out in a round.

    Parameters
    ----------
    chunk
        Rows that train together at most, None for the rule.
    columns, width
        Columns of a row, and samples of its batches.

    Raises
    ------
    InputError
        The chunk is not valid, or the engine has no chunks.
    """
    if chunk is not None and chunk < 1:
        raise InputError(f"chunk {chunk!r} is not valid: expected a whole number ≥ 1.")
    work = step_operations(columns, width)
    if engine == "sequential":
        if chunk is not None:
            raise InputError(
                f"A chunk of {chunk} is for the engine 'stacked': 'sequential', which this run "
                "has, trains one client after the other."
            )
        return Sharing(1, min(rows, cores_for(work, device)), 1)
    most = chunk or default_chunk(columns, dtype, device)
    count, cores = divide(rows, most, work, device)
    return Sharing(-(-rows // count), cores, most)


def choose_types(precision: str, device: torch.device) -> tuple[torch.dtype, torch.dtype | None]:
    """Return the number type of storage and computation, and of matrix products if different.

    Raises
    ------
    InputError
        The device cannot compute in that type.
    """
    if precision == "float64" and device.type == "mps":
        raise InputError("The device 'mps' has no float64: expected another precision or 'cpu'.")
    if precision == "bfloat16":
        return torch.float32, torch.bfloat16
    return torch.float64 if precision == "float64" else torch.float32, None


def choose_device(name: str) -> torch.device:
    """Resolve "auto" or a device's name, "cpu", "cuda", "cuda:1", "mps".

    Raises
    ------
    InputError
        This machine does not have the device.
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
