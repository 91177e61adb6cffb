"""Cells in worker processes of this machine, several at a time.

Each worker is a pebble pool of one process: a pool's processes share a channel and its locks, and
one that is killed while it holds such a lock would stop the others.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import forkserver
from queue import Empty, SimpleQueue
from types import ModuleType, TracebackType
from typing import Any, Self

import pebble

from pflbench.experiments.executors.executor import Outcome, Watch, Work
from pflbench.experiments.executors.lost_cells import ATTEMPTS, again, lost
from pflbench.experiments.executors.reports import tell
from pflbench.experiments.executors.worker import prepare, run_here
from pflbench.experiments.executors.worker_environment import environment
from pflbench.schema.error_text import sentence
from pflbench.schema.numbers import whole_of

CELLS_OF_A_WORKER = 50
"""Cells that a worker runs before a fresh one takes its place."""

ENOUGH_BYTES = 3 * 2**30
"""A worker that keeps more memory than this after a cell is also replaced."""

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)

_PRELOADED = ["pflbench.experiments.executors.worker", "torchvision"]
"""Modules that take seconds to import, and that every cell needs."""


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_of(jobs: int) -> int:
    """Return how many threads each of several workers gets: all together as many as cores.

    Fewer, if the environment (OMP_NUM_THREADS) says so.
    """
    share = max(1, cores() // jobs)
    threads = whole_of(os.environ.get("OMP_NUM_THREADS", ""))
    return min(share, threads) if threads is not None and threads > 0 else share


class Processes:
    """The executor of worker processes; they are kept from one `run` to the next.

    Parameters
    ----------
    jobs
        Cells that run at a time, at least 1.
    main
        Whether workers import the script that starts them. A script that does its work without
        `if __name__ == "__main__":` would begin it again in each.
    """

    def __init__(self, jobs: int, *, main: bool = True) -> None:
        self.jobs, self.threads, self.main = jobs, threads_of(jobs), main
        self._events: SimpleQueue[tuple[str, Any, Any]] = SimpleQueue()
        self._slots: list[_Slot] = []
        self._idle: list[_Slot] = []
        self._started: int | None = None  # process id of the server, if it is this one's
        self._waited = False
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Set the thread variables of workers, and start the server that forks them."""
        if not self.main:
            self._stack.enter_context(_main_unseen())
        capped = dict.fromkeys(_THREAD_VARIABLES, str(self.threads))
        self._stack.enter_context(environment(capped))
        before = _server()
        self._context = _context()
        self._started = _server() if before is None else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """End the workers."""
        try:
            self._end(self._slots)
        finally:
            self._stack.close()
            if self._started and not self._waited and self._started == _server():
                with suppress(OSError):  # its imports are no longer needed
                    os.kill(self._started, signal.SIGTERM)

    def begin(self, works: Sequence[Work]) -> None:
        """Refuse nothing: each cell checks its own requirements, and is resolved by its worker."""
        for work in works:
            work.found = None

    def run(self, works: Sequence[Work], watch: Watch) -> Iterator[Outcome]:
        """Run cells, as many at a time as there are jobs; see `Executor.run`.

        A cell whose worker dies is tried again when the others have started, from its last
        checkpoint; after three attempts it is stored as a failed run.
        """
        ahead = deque(works)
        running: dict[Future[Any], tuple[_Slot, Work]] = {}
        known = {work.run_id: work for work in works}
        deaths = dict.fromkeys(known, 0)
        self._wait_for_server()
        try:
            while ahead or running:
                while ahead and len(running) < self.jobs:
                    slot = self._idle.pop() if self._idle else self._slot()
                    work = ahead.popleft()
                    running[slot.start(work)] = slot, work
                try:
                    event, about, what = self._events.get(timeout=1.0)
                except Empty:  # so that Ctrl-C is handled on every system
                    continue
                if event != "ended":
                    if event in ("notice", "remark") or about in known:
                        tell(watch, event, known.get(about), what)
                    continue
                if about not in running:
                    continue
                slot, work = running.pop(about)
                outcome, how = _read(about, slot, work)
                if slot.worn:
                    self._end([slot])
                else:
                    self._idle.append(slot)
                if outcome is None:
                    deaths[work.run_id] += 1
                    times = deaths[work.run_id]
                    if times < ATTEMPTS:
                        ahead.append(again(work))
                        watch.notice(
                            f"The worker process of {work.title} died, {how}: it resumes from its "
                            f"last checkpoint, attempt {times + 1} of {ATTEMPTS}."
                        )
                        continue
                    outcome = lost(work, how, times)
                yield outcome
        finally:
            self._end([slot for slot, _ in running.values()])

    def _wait_for_server(self) -> None:
        """Wait until workers are forked within milliseconds: Ctrl-C meanwhile leaves none behind.

        A worker requested during the server's imports starts after them, even if its resources in
        this process are gone by then.
        """
        if not self._waited and self._context.get_start_method() == "forkserver":
            probe = self._context.Process(target=int)
            probe.start()
            probe.join()
            probe.close()
        self._waited = True

    def _slot(self) -> _Slot:
        slot = _Slot(self._context, self._events, dict(os.environ), self.threads)
        self._slots.append(slot)
        return slot

    def _end(self, slots: Sequence[_Slot]) -> None:
        """End workers, all at the same time, except those that have already ended."""
        living = [slot for slot in slots if slot in self._slots]
        for slot in living:
            slot.stop()
        for slot in living:
            slot.close()
            self._slots.remove(slot)
            if slot in self._idle:
                self._idle.remove(slot)


class _Slot:
    """One worker process, and its replacements."""

    def __init__(
        self,
        context: Any,
        events: SimpleQueue[tuple[str, Any, Any]],
        environment: dict[str, str],
        threads: int,
    ) -> None:
        self._events = events
        self._heard, self._said = context.Pipe(duplex=False)
        self._pool: Any = pebble.ProcessPool(
            max_workers=1,
            initializer=prepare,
            initargs=(self._said, environment, threads),
            context=context,
        )
        self._cells = 0
        self.worn = False
        threading.Thread(target=self._listen, name="listen", daemon=True).start()

    def start(self, work: Work) -> Future[Any]:
        """Give the worker a cell."""
        self._cells += 1
        with _uninterrupted():  # the pool only ends workers that it has seen begin
            future: Future[Any] = self._pool.schedule(run_here, args=[work])
        future.add_done_callback(lambda done: self._events.put(("ended", done, None)))
        return future

    def wear(self, kept: int) -> None:
        """Take note of how much memory the worker keeps, in bytes."""
        self.worn |= kept > ENOUGH_BYTES or self._cells >= CELLS_OF_A_WORKER

    def stop(self) -> None:
        """Let the worker be stopped."""
        self._pool.stop()

    def close(self) -> None:
        """Wait until it has."""
        self._pool.join()
        self._said.close()  # also ends the listening

    def _listen(self) -> None:
        try:
            while True:
                self._events.put(self._heard.recv())
        except (EOFError, OSError):
            return


def _read(future: Future[Any], slot: _Slot, work: Work) -> tuple[Outcome | None, str]:
    """Return a cell's outcome; None if its worker died, and how."""
    error = future.exception()
    if error is None:
        outcome, kept = future.result()
        slot.wear(kept)
        return outcome, ""
    slot.worn = True
    if isinstance(error, pebble.ProcessExpired):
        return None, _end_of(error.exitcode)
    if isinstance(error, BrokenProcessPool):
        return None, "while it started"
    return Outcome(work.run_id, "failed", sentence(error)), ""


def _end_of(code: int | None) -> str:
    """Say how a process ended."""
    if code is None:
        return "for an unknown reason"
    return f"signal {-code}" if code < 0 else f"exit status {code}"


def _server() -> int | None:
    """Return the process id of the fork server, None if none has been started."""
    pid: int | None = getattr(getattr(forkserver, "_forkserver", None), "_forkserver_pid", None)
    return pid


def _context() -> Any:
    """Return how workers are started.

    From a fork server if the system has one: a process with all imports of a worker, with the
    thread variables set, that has computed nothing. Workers are forked from it within milliseconds.
    Forking this process is not an option, since it has threads; spawning imports PyTorch again for
    each worker and each replacement.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    masked = hasattr(signal, "pthread_sigmask") and sys.platform != "win32"
    # The server inherits this: Ctrl-C must not end it in the midst of an import, with a traceback.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if masked else None
    try:
        forkserver.ensure_running()
    finally:
        if before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


@contextmanager
def _main_unseen() -> Iterator[None]:
    """Let workers that start in the body of a `with` not import the script of this process.

    `multiprocessing` looks for it under this name alone; the script's own code keeps its names.
    """
    before = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = before


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the body of a `with` is done.

    Handlers receive them, since any thread may catch a signal that this one blocks.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ours = {n: handler for n, handler in before.items() if handler not in (None, signal.SIG_IGN)}
    try:
        for number in ours:
            signal.signal(number, lambda one, _: heard.append(one))
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
        for one in heard:
            signal.raise_signal(one)
