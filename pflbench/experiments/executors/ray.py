"""Cells as tasks of Ray: on this machine, or on the machines of a Ray cluster.

Ray gives each cell its CPUs and GPUs, finds a machine that has them, and starts workers; which
cell is begun where and when is Ray's affair.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pflbench.errors import InputError, WorkError
from pflbench.experiments.executors.executor import Outcome, Watch, Work
from pflbench.experiments.executors.lost_cells import ATTEMPTS, again, lost
from pflbench.experiments.executors.ray_worker import marked, run_cell, surroundings
from pflbench.experiments.executors.reports import tell
from pflbench.experiments.executors.worker_environment import environment
from pflbench.experiments.executors.worker_processes import cores
from pflbench.extras import needed
from pflbench.schema.error_text import one_line, sentence

CELLS_OF_A_WORKER = 16
"""Cells that a worker runs before it gives all its memory back and a fresh one takes its place.

A fresh one imports PyTorch, about two seconds of one core: that is little for sixteen cells, even
small ones. A worker with a GPU ends after each cell: GPU memory cached by PyTorch is missing for
the other cells on this GPU.
"""

STORE_BYTES = 128 * 2**20
"""Shared memory of a Ray of our own; cells travel as a few kilobytes, results not at all."""

SECONDS_BETWEEN_LOOKS = 1.0
"""How often it is looked whether machines have come or gone."""

_RAYS_OWN = ("RAY_AUTH_MODE",)
"""Variables that Ray sets when it starts."""

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray prints every event of its workers on this process's output, in pages; important ones are
    # given as notices. It reads this when it is imported.
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
}

_TOKEN = {"RAY_AUTH_TOKEN": os.urandom(32).hex()}
"""Ray listens on the network even on one machine, and obeys anyone with this token; without one,
it writes one to the user's home folder. Always the same one: Ray reads it only once."""

_LONGEST_FOLDER = 42
"""Bytes of a temporary folder in which the paths of Ray's sockets still fit the 107 of Unix."""


class RayTasks:
    """The executor of Ray's tasks.

    Parameters
    ----------
    address
        Of a running cluster, "host:port" or "auto"; None starts a Ray of this machine's cores and
        ends it with the executor. A running cluster is not changed.
    jobs
        Cells at a time; None for as many as fit.
    cpus, gpus
        Resources of each cell; shares of a GPU are allowed. A cell computes with as many threads
        as it has whole CPUs, at least one, and on a GPU only if it gets a share of one.

    Raises
    ------
    InputError
        Ray is not installed.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        jobs: int | None = None,
        cpus: float = 1.0,
        gpus: float = 0.0,
    ) -> None:
        self.address, self.jobs, self.cpus, self.gpus = address, jobs, cpus, gpus
        self.threads = max(1, int(cpus))
        self._begun = False
        self._running: dict[Any, Work] = {}
        self._stack = ExitStack()
        with environment(_QUIET, _RAYS_OWN):
            self._ray = needed("ray", "--executor ray", "ray")

    def __enter__(self) -> Self:
        """Prepare; Ray is started, or the cluster found, when a cell is to be run."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Cancel running cells; end Ray if it was started here, else disconnect from it."""
        self._stack.close()
        self._begun = False

    def begin(self, works: Sequence[Work]) -> None:
        """Start Ray, or connect to the cluster.

        Raises
        ------
        InputError
            No machine has the resources of a cell, or the address is not valid.
        WorkError
            Ray cannot be started, or the cluster cannot be reached.
        """
        if not self.gpus and any(work.request.device.startswith("cuda") for work in works):
            raise InputError(
                "Cells that train on cuda need a GPU from Ray: give each one, or a share of one, "
                "as in --gpus-per-cell 0.5."
            )
        for work in works:
            work.found = None  # workers resolve it
        if not self._begun:
            self._begin()

    def run(self, works: Sequence[Work], watch: Watch) -> Iterator[Outcome]:
        """Run cells, as many at a time as fit; see `Executor.run`.

        A cell whose worker or machine is lost is tried again when the others have started, from its
        last checkpoint, at most three times in total.

        Raises
        ------
        InputError, WorkError
            As for `begin`, if it was not called before.
        """
        self.begin(works)
        works = [replace(work, results=work.results.absolute()) for work in works]
        ahead = deque(works)
        attempts = {work.run_id: 0 for work in works}
        with marked({work.results for work in works}) as mark:
            around = surroundings(mark, self.threads, self.gpus)
            task = self._task()
            while ahead or self._running:
                room = self._room()
                while ahead and len(self._running) < room:
                    work = ahead.popleft()
                    attempts[work.run_id] += 1
                    self._running[task.remote(work, around)] = work
                heard, _ = self._ray.wait([*self._running], timeout=SECONDS_BETWEEN_LOOKS)
                for events in heard:
                    work = self._running[events]
                    event, what = self._next(events, work)
                    if event not in ("ended", "lost"):
                        tell(watch, event, work, what)
                        continue
                    del self._running[events]
                    if event == "ended":
                        yield what
                    elif attempts[work.run_id] == ATTEMPTS:
                        yield _given_up(work, what)
                    else:
                        ahead.append(again(work))
                        watch.notice(
                            f"The worker process of {work.title} died, {what.how}: it resumes "
                            f"from its last checkpoint, attempt {attempts[work.run_id] + 1} of "
                            f"{ATTEMPTS}."
                        )

    def _task(self) -> Any:
        """Return the task that runs a cell.

        Ray's own retries are not used: they are silent, they never end for workers that ran out of
        memory, and a cell with rerun="always" would start from the beginning each time.
        """
        return self._ray.remote(
            num_cpus=self.cpus,
            num_gpus=self.gpus,
            max_retries=0,
            max_calls=1 if self.gpus else CELLS_OF_A_WORKER,
            num_returns="streaming",  # the cell's events, as they happen
            scheduling_strategy="SPREAD",  # a machine that is half full is slower than an empty one
        )(run_cell)

    def _next(self, events: Any, work: Work) -> tuple[str, Any]:
        """Return the next event of a cell: one of its worker's, or "lost"."""
        errors = self._ray.exceptions
        try:
            event: tuple[str, Any] = self._ray.get(next(events))
        except (StopIteration, errors.WorkerCrashedError):
            return "lost", _Loss("killed or crashed")
        except errors.OutOfMemoryError:
            return "lost", _Loss("ended by Ray as the machine's memory ran out")
        except (errors.NodeDiedError, errors.LocalRayletDiedError, errors.ObjectLostError):
            return "lost", _Loss("with its machine", machine=True)
        except Exception as error:  # of Ray, before or after the cell itself
            return "ended", Outcome(work.run_id, "failed", _of_ray(error))
        return event

    def _begin(self) -> None:
        if self._ray.is_initialized():
            raise WorkError("This process uses Ray already: expected one that does not yet.")
        with ExitStack() as stack:
            stack.enter_context(_signals_as_before())
            stack.enter_context(environment(_QUIET, _RAYS_OWN))
            if self.address is None:
                self._start(stack)
            else:
                stack.callback(self._ray.shutdown)
                self._connect(self.address)
            self._check_room()
            stack.callback(self._cancel)
            self._stack = stack.pop_all()
        self._begun = True

    def _start(self, stack: ExitStack) -> None:
        """Start a private Ray on this machine."""
        threads = {"OMP_NUM_THREADS": str(self.threads), "MKL_NUM_THREADS": str(self.threads)}
        stack.enter_context(environment({**threads, **_TOKEN}, _RAYS_OWN))
        folder = tempfile.mkdtemp(prefix="ray-", dir=_temporary_folder())
        # Undone in the opposite order: Ray is shut down before its folder goes.
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(self._ray.shutdown)
        cpus = max(cores(), math.ceil((self.jobs or 0) * self.cpus))
        try:
            self._ray.init(
                "local",
                num_cpus=cpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=STORE_BYTES,
                _temp_dir=folder,
            )
        except Exception as error:
            raise WorkError(f"Ray cannot be started here: {_first_line(error)}") from error

    def _connect(self, address: str) -> None:
        """Connect to a cluster."""
        _check_reachable(address)
        try:
            self._ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:
            raise WorkError(
                f"No Ray cluster is at {address!r}, or this machine is not part of it: "
                f"{_first_line(error)}"
            ) from error

    def _room(self) -> int:
        """Return how many cells fit now; machines may have come or gone."""
        return self.jobs or max(1, sum(map(self._fitting, self._machines())))

    def _machines(self) -> list[Mapping[str, float]]:
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def _fitting(self, machine: Mapping[str, float]) -> int:
        """Return how many cells fit a machine."""
        wanted = {"CPU": self.cpus, "GPU": self.gpus}
        return min(int(machine.get(name, 0) / each + 1e-9) for name, each in wanted.items() if each)

    def _check_room(self) -> None:
        machines = self._machines()
        if any(map(self._fitting, machines)):
            return
        most = max(machines, key=lambda machine: [machine.get(name, 0) for name in ("GPU", "CPU")])
        where = "This machine" if self.address is None else "The largest machine of the Ray cluster"
        raise InputError(
            f"Each cell needs {self.cpus:g} CPUs and {self.gpus:g} GPUs. {where} has "
            f"{most.get('CPU', 0):g} and {most.get('GPU', 0):g}: expected at most these."
        )

    def _cancel(self) -> None:
        """End running cells; their last checkpoints remain."""
        if self.address is None or not self._running:
            return  # our own Ray is ended with all its workers
        for reference in self._running:
            with suppress(Exception):
                self._ray.cancel(reference, force=True)
        with suppress(Exception):  # so that no worker holds a run's lock when this process ends
            self._ray.wait([*self._running], num_returns=len(self._running), timeout=5.0)
        self._running.clear()


@dataclass(frozen=True)
class _Loss:
    """How a cell's worker died, and whether it did so because its machine was lost."""

    how: str
    machine: bool = False


def _given_up(work: Work, loss: _Loss) -> Outcome:
    """Return the outcome of a cell that was lost too often.

    Losing machines is not the cell's fault: it stays unfinished, with its checkpoint, and resumes
    when it is run again.
    """
    if not loss.machine:
        return lost(work, loss.how, ATTEMPTS)
    return Outcome(
        work.run_id,
        "failed",
        f"The worker process died, {loss.how}, {ATTEMPTS} times; the cell resumes from its last "
        "checkpoint when it is run again.",
    )


def _of_ray(error: Exception) -> str:
    if "No module named 'pflbench" in str(error):
        return (
            "A machine of the Ray cluster has no pflbench, or a different version: expected the "
            "same on all machines."
        )
    return sentence(WorkError(f"Ray could not run the cell: {_first_line(error)}"))


def _first_line(error: Exception) -> str:
    return f"{one_line(str(error))[:200].rstrip('.')}."


def _check_reachable(address: str) -> None:
    """Check whether the address answers: Ray itself tries for minutes."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(
            f"--ray-address {address!r} is no address: expected host:port, such as 10.0.0.1:6379, "
            "or auto."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5.0).close()
    except (OSError, OverflowError) as error:
        raise WorkError(f"Nothing answers at {address}, where Ray should: {error}.") from error


def _temporary_folder() -> str | None:
    """Return Ray's folder: in the folder for temporary files if this path is short enough."""
    usual = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    fits = len(os.fsencode(usual)) + len("/ray-12345678") <= _LONGEST_FOLDER
    return usual if fits or not Path("/tmp").is_dir() else "/tmp"


@contextmanager
def _signals_as_before() -> Iterator[None]:
    """Undo that Ray handles SIGTERM in this process, after the body of a `with`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
