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
from typing import TypeVar

import torch

T = TypeVar("T")

WORTH_A_CORE = 2 * 10**7
"""Floating-point operations of a local step below which handing jobs to cores costs more."""

_lock = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}
if hasattr(os, "register_at_fork"):  # a forked child has the pools but not their threads
    os.register_at_fork(after_in_child=_pools.clear)


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
