"""The code of a worker process: it runs cells, reports progress, and ends with its parent.

Nothing of PyTorch is computed before `prepare`, and its thread variables are those of the cap.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any

from pflbench.experiments.executors.executor import Outcome, Work, do
from pflbench.experiments.executors.reports import Reporter, warnings_to

SECONDS_BETWEEN_ROUNDS = 0.25
"""Shortest time between reported rounds, except evaluated ones, and the last."""

PARENT_GONE = 3
"""Exit status of a worker whose parent has ended."""

_said: Connection | None = None


def prepare(said: Connection, environment: Mapping[str, str], threads: int) -> None:
    """Make a new worker process ready.

    Parameters
    ----------
    said
        The channel for events.
    environment
        The parent's variables: a worker may come from a server that was started before they
        were set.
    threads
        That PyTorch may compute with.
    """
    import torch

    global _said
    _said = said
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C, and ends this
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # immediately, even during a long computation
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    torch.set_num_threads(threads)
    warnings.showwarning = warnings_to(partial(_say, ""))


def run_here(work: Work) -> tuple[Outcome, int]:
    """Run a cell in this worker; return also how much memory the worker keeps, in bytes."""
    import psutil

    say = partial(_say, work.run_id)
    say("began", os.getpid())
    outcome = do(work, [Reporter(say, SECONDS_BETWEEN_ROUNDS, evaluations=True)])
    gc.collect()
    return outcome, psutil.Process().memory_info().rss


def _say(run_id: str, event: str, what: Any) -> None:
    if _said is not None:
        with suppress(OSError):  # the parent listens no more: it is about to end this process
            _said.send((event, run_id, what))


def _end_with_parent() -> None:
    """Wait for the parent's end, however it ends, and end this process."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(PARENT_GONE)
