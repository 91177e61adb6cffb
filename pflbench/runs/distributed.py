"""Taking part in a run of several processes, as `torchrun` starts them."""

from __future__ import annotations

import datetime
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import psutil
import torch
import torch.distributed as dist

from pflbench.engine.process_group import ALONE, Group
from pflbench.errors import InputError, WorkError
from pflbench.schema.numbers import whole_of

PATIENCE = datetime.timedelta(minutes=30)
"""How long a process waits for another that neither answers nor ends."""

_THREADS = "OMP_NUM_THREADS"


@contextmanager
def joined() -> Iterator[Group]:
    """Join the processes named in the environment, for the body of a `with`.

    RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, and of a machine's processes LOCAL_RANK and
    LOCAL_WORLD_SIZE: `torchrun` sets them. Without them this process is alone, and nothing is done.
    Rows are sent by gloo, or by NCCL on `cuda:LOCAL_RANK`. An error that leaves the body stops the
    other processes, too; after the body, all wait for each other.

    Raises
    ------
    InputError
        The variables make no sense.
    WorkError
        The others were not found.
    """
    size = _number(os.environ, "WORLD_SIZE", 1)
    if size == 1:
        yield ALONE
        return
    group = Group(_number(os.environ, "RANK", None), size, _number(os.environ, "LOCAL_RANK", 0))
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        if not os.environ.get(name):
            raise InputError(_incomplete(size, name))
    torch.set_num_threads(_threads(_number(os.environ, "LOCAL_WORLD_SIZE", 1)))
    cuda = torch.cuda.is_available() and group.local_rank < torch.cuda.device_count()
    if cuda:
        torch.cuda.set_device(group.local_rank)
    try:
        backend = "cpu:gloo,cuda:nccl" if cuda and dist.is_nccl_available() else "gloo"
        dist.init_process_group(backend, timeout=PATIENCE)
    except (RuntimeError, ValueError, OSError) as error:
        what = " ".join(str(error).split())[:200]
        raise WorkError(f"Process {group.rank} of {size} found no others: {what}.") from error
    before = None
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGINT, group.interrupt)
    try:
        with group.together():
            yield group
    finally:
        with suppress(WorkError, KeyboardInterrupt):  # one that is lost is not waited for
            group.meet("end")
        dist.destroy_process_group()
        if before is not None:
            signal.signal(signal.SIGINT, before)


def device_for(name: str, group: Group) -> str:
    """Return a process's device for "auto" or "cuda": one GPU each."""
    if group.size > 1 and (name == "cuda" or (name == "auto" and torch.cuda.is_available())):
        return f"cuda:{group.local_rank}"
    return name


def _number(environment: Mapping[str, str], name: str, default: int | None) -> int:
    text = environment.get(name)
    if text is None and default is None:
        raise InputError(_incomplete(environment.get("WORLD_SIZE"), name))
    number = whole_of(text if text is not None else default or 0)
    if number is None:
        raise InputError(f"{name}={text} is not valid: expected a whole number.")
    return number


def _incomplete(size: object, name: str) -> str:
    return (
        f"The environment names {size} processes (WORLD_SIZE), but {name} is not set: start "
        "them with 'torchrun -m pflbench run ...', or unset WORLD_SIZE."
    )


def _threads(local_size: int) -> int:
    """Return this process's number of threads: its share of the cores, unless the user set it.

    `torchrun` sets OMP_NUM_THREADS to 1 if it is unset; its own environment shows which.
    """
    chosen = os.environ.get(_THREADS)
    with suppress(psutil.Error, OSError):
        parent = psutil.Process().parent()
        if "TORCHELASTIC_RUN_ID" in os.environ and parent is not None:
            chosen = parent.environ().get(_THREADS)
    if chosen:
        return torch.get_num_threads()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 1) // max(1, local_size))
