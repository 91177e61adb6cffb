"""The code of a Ray worker: it checks the shared folder, and runs one cell."""

from __future__ import annotations

import gc
import os
import platform
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from traceback import format_exception
from typing import Any
from uuid import uuid4

from pflbench.experiments.executors.executor import Outcome, Work, do
from pflbench.experiments.executors.reports import Reporter, warnings_to
from pflbench.results.files import writing
from pflbench.schema.error_text import sentence
from pflbench.version import __version__

PATIENCE = 10.0
"""Seconds that another machine's file may take to appear: network file systems cache missing
names."""

SECONDS_BETWEEN_ROUNDS = 0.5
"""Shortest time between reported rounds, except the last: each is a message between machines."""

_LOCKS = ".locks"


@dataclass(frozen=True)
class Surroundings:
    """The state that a worker must share with the process that sends it cells.

    Attributes
    ----------
    mark
        Name of a file in each results folder for as long as cells are sent.
    folder
        The working directory, which relative paths to data start from.
    variables
        The environment's settings of pflbench.
    version
        Of pflbench.
    threads
        That a cell computes with.
    gpus
        Share of a GPU, or GPUs, that Ray gives to a cell.
    """

    mark: str
    folder: str
    variables: Mapping[str, str]
    version: str
    threads: int
    gpus: float


@contextmanager
def marked(results: Iterable[Path]) -> Iterator[str]:
    """Put a file with a random name into results folders, for the body of a `with`.

    A worker that does not find it sees a different folder under the same path, or none.

    Raises
    ------
    WorkError
        It cannot be written.
    """
    mark = f"ray-{uuid4().hex}"
    paths = [folder / _LOCKS / mark for folder in results]
    try:
        for path in paths:
            with writing(path):
                path.parent.mkdir(exist_ok=True)
                path.touch()
        yield mark
    finally:
        for path in paths:
            with suppress(OSError):  # an empty file that stays does no harm
                path.unlink()


def surroundings(mark: str, threads: int, gpus: float) -> Surroundings:
    """Return the state that workers must share with this process."""
    ours = {name: value for name, value in os.environ.items() if name.startswith("PFLBENCH_")}
    return Surroundings(mark, str(Path.cwd()), ours, __version__, threads, gpus)


def run_cell(work: Work, around: Surroundings) -> Iterator[tuple[str, Any]]:
    """Run a cell in this worker, as the process that sent it would.

    A problem of the worker's machine is the outcome, in one sentence; then nothing was written.

    Yields
    ------
    Events as they happen, each with its subject: "began", events of observers ("started",
    "round_done"), "notice", "remark", and at the end "ended" with the outcome.
    """
    yield "began", None
    wrong = _mismatch(work, around)
    if wrong:
        yield "ended", Outcome(work.run_id, "failed", wrong)
        return
    # Ray takes an event when it is yielded, and a cell ends when it ends: hence two threads.
    events: SimpleQueue[tuple[str, Any]] = SimpleQueue()
    threading.Thread(target=_run, args=(work, around, events), name="cell", daemon=True).start()
    event = ""
    while event != "ended":
        event, what = events.get()
        yield event, what


def _run(work: Work, around: Surroundings, events: SimpleQueue[tuple[str, Any]]) -> None:
    """Run a cell in a thread; its outcome is always the last event."""

    def say(event: str, what: Any) -> None:
        events.put((event, what))

    try:
        import torch

        torch.set_num_threads(around.threads)  # of this thread, as OpenMP counts
        os.environ.update(around.variables)
        with suppress(OSError):  # without it, only relative paths to data fail, and say so
            os.chdir(around.folder)
        if not around.gpus and work.request.device == "auto":
            # A GPU that was not requested is not this cell's, whether or not Ray hides it.
            work = replace(work, request=replace(work.request, device="cpu"))
        warnings.showwarning = warnings_to(say)
        outcome = do(work, [Reporter(say, SECONDS_BETWEEN_ROUNDS)])
        gc.collect()
    except BaseException as error:  # also of a plugin that would end its process
        outcome = Outcome(work.run_id, "failed", sentence(error), "".join(format_exception(error)))
    say("ended", outcome)


def _mismatch(work: Work, around: Surroundings) -> str:
    """Return in a sentence what this machine lacks, or ""."""
    here = platform.node()
    if around.version != __version__:
        return (
            f"{here} has pflbench {__version__}, the process that sent the cell {around.version}: "
            "expected the same on all machines of the Ray cluster."
        )
    path = work.results / _LOCKS / around.mark
    until = time.monotonic() + PATIENCE
    while not path.exists():
        if time.monotonic() > until:
            return (
                f"{here} does not see the results folder {work.results} of the process that sent "
                "the cell: expected a file system that all machines of the Ray cluster share, at "
                "the same path."
            )
        with suppress(OSError):  # listing a folder makes NFS look again
            next(path.parent.iterdir(), None)
        time.sleep(0.2)
    return ""
