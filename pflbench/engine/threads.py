"""Jobs side by side on the cores of a CPU, each job computing on one of them.

Many small tensor operations use two cores badly when each operation is split between them, and
well when each core has operations of its own. PyTorch releases the interpreter's lock while it
computes, so threads suffice: nothing is copied, and nothing needs to be picklable.

A split operation adds its numbers in a different order, and its last digits change. So no
operation is split (`steady`), and the jobs follow from the model and the cohort alone: cores
decide how many jobs run at a time, and no number.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

from pflbench.isolation import own_thread

T = TypeVar("T")

WORTH_A_CORE = 2 * 10**7
"""Floating-point operations of a local step below which handing jobs to cores costs more."""

EVEN = 2
"""The number of chunks is a multiple of this, if each is worth a core: on two cores none waits for
the other. It is independent of this machine's cores, so that results are, too."""

_lock = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}
if hasattr(os, "register_at_fork"):  # a forked child has the pools but not their threads
    os.register_at_fork(after_in_child=_pools.clear)


class _Own(threading.local):
    cores = 0


_own = _Own()


@contextmanager
def steady() -> Iterator[None]:
    """Compute every operation of this thread on one core; `side_by_side` keeps all cores.

    Results then do not depend on the number of PyTorch's threads, bit for bit.
    """
    if _own.cores:
        yield
        return
    _own.cores = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(_own.cores)
        _own.cores = 0


def cores_here() -> int:
    """Return the number of cores for jobs: PyTorch's number of threads."""
    return _own.cores or torch.get_num_threads()


@dataclass(frozen=True)
class Sharing:
    """How a cohort is shared out: at most `rows` clients train together, on `cores` cores.

    `limit` is the most rows that may train together of any cohort: with the engine, it decides
    the last digits.
    """

    rows: int
    cores: int
    limit: int | None = None


def step_operations(columns: int, width: int) -> float:
    """Return about how many floating-point operations a step of a row takes, batch of `width`."""
    return 3 * pass_operations(columns, width)


def pass_operations(columns: int, samples: int) -> float:
    """Return about how many floating-point operations a row's outputs on samples take."""
    return 2.0 * columns * samples


def divide(rows: int, chunk: int, work: float, device: torch.device) -> tuple[int, int]:
    """Return in how many equal chunks rows train, and how many of these at a time.

    Only the latter depends on the number of cores.

    Parameters
    ----------
    chunk
        Rows that train together at most.
    work
        Floating-point operations of one local step of one row.
    """
    count = -(-rows // chunk)
    even = -(-count // EVEN) * EVEN
    if even <= rows and pays(work * (rows // even), device):
        count = even
    return count, min(count, cores_for(work * -(-rows // count), device))


def pays(work: float, device: torch.device) -> bool:
    """Whether a job is worth a core of its own.

    Parameters
    ----------
    work
        Floating-point operations of one local step of the job.
    """
    return device.type == "cpu" and work >= WORTH_A_CORE


def cores_for(work: float, device: torch.device) -> int:
    """Return how many jobs may run at a time.

    On a CPU, as many as PyTorch has threads, if that pays; on an accelerator one, since it does
    each of them in parallel already.

    Parameters
    ----------
    work
        Floating-point operations of one local step of a job.
    """
    return cores_here() if pays(work, device) else 1


def side_by_side(jobs: Sequence[Callable[[], T]], cores: int) -> list[T]:
    """Do jobs that do not depend on each other; return their results in order.

    With several cores, as many jobs run at a time, each on one of them. An error of a job is raised
    here, after the running jobs have ended.
    """
    if cores == 1 or len(jobs) == 1:
        return [job() for job in jobs]
    futures = [_pool(cores).submit(_watched, job) for job in jobs]
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
    finally:  # after an error or an interruption, no job may keep writing to its rows
        for future in futures:
            future.cancel()
        wait(futures)
    return [future.result() for future in futures]


def _watched(job: Callable[[], T]) -> T:
    with own_thread():
        return job()


def _pool(threads: int) -> ThreadPoolExecutor:
    with _lock:
        if threads not in _pools:
            _pools[threads] = ThreadPoolExecutor(
                threads, "pflbench", initializer=torch.set_num_threads, initargs=(1,)
            )
        return _pools[threads]
