"""Jobs side by side on the cores of a CPU, each job computing on one of them.

Many small tensor operations use two cores badly when each operation is split between them, and
well when each core has operations of its own. PyTorch releases the interpreter's lock while it
computes, so threads suffice: nothing is copied, and nothing needs to be picklable.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

import torch

T = TypeVar("T")

WORTH_A_CORE = 2 * 10**7
"""Floating-point operations of a local step below which handing jobs to cores costs more."""

_lock = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}
if hasattr(os, "register_at_fork"):  # a forked child has the pools but not their threads
    os.register_at_fork(after_in_child=_pools.clear)


@dataclass(frozen=True)
class Sharing:
    """How a cohort is shared out: at most `rows` clients train together, on `cores` cores."""

    rows: int
    cores: int


def step_operations(columns: int, width: int) -> float:
    """Return about how many floating-point operations a step of a row takes, batch of `width`."""
    return 6.0 * columns * width


def divide(rows: int, chunk: int, work: float, device: torch.device) -> tuple[int, int]:
    """Return in how many equal chunks rows train, and how many of these at a time.

    Parameters
    ----------
    chunk
        Rows that train together at most.
    work
        Floating-point operations of one local step of one row.
    """
    count = -(-rows // chunk)
    size = -(-rows // max(count, torch.get_num_threads()))
    cores = cores_for(work * size, device)
    return min(rows, -(-count // cores) * cores), cores


def cores_for(work: float, device: torch.device) -> int:
    """Return how many jobs may go on at a time.

    On a CPU, as many as PyTorch has threads, if that pays; on an accelerator one, since it does
    each of them in parallel already.

    Parameters
    ----------
    work
        Floating-point operations of one local step of a job.
    """
    return torch.get_num_threads() if device.type == "cpu" and work >= WORTH_A_CORE else 1


def side_by_side(jobs: Sequence[Callable[[], T]], cores: int) -> list[T]:
    """Do jobs that do not depend on each other; return their results in order.

    With several cores, as many go on at a time, each on one of them. An error of a job is raised
    here, after the jobs that run have ended.
    """
    if cores == 1 or len(jobs) == 1:
        return [job() for job in jobs]
    futures = [_pool(cores).submit(job) for job in jobs]
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
    finally:  # after an error or an interruption, no job may go on writing to its rows
        for future in futures:
            future.cancel()
        wait(futures)
    return [future.result() for future in futures]


def _pool(threads: int) -> ThreadPoolExecutor:
    with _lock:
        if threads not in _pools:
            _pools[threads] = ThreadPoolExecutor(
                threads, "pflbench", initializer=torch.set_num_threads, initargs=(1,)
            )
        return _pools[threads]
