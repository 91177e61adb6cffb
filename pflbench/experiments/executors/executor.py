"""The interface of executors, their work, and the one function that runs a cell anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from traceback import format_exception
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from pflbench.errors import InputError
from pflbench.runs.observer import Observer
from pflbench.schema.error_text import sentence

if TYPE_CHECKING:
    from pflbench.results import Store
    from pflbench.runs.identity import Identified
    from pflbench.runs.planning import PlannedRun
    from pflbench.runs.request import RunRequest
    from pflbench.runs.result import Result

Status = Literal["complete", "there", "busy", "failed"]


@dataclass
class Work:
    """One cell to run; it can be pickled, so that it can be sent to wherever it is run.

    Attributes
    ----------
    run_id
        The id that the request resolves to.
    request
        The request.
    results
        The results folder.
    title
        The cell in words.
    found
        The request resolved, for a run in this process; elsewhere it is resolved there, and its id
        compared. It holds the data, so it is let go once it is not needed.
    """

    run_id: str
    request: RunRequest
    results: Path
    title: str
    found: Identified | None = field(default=None, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "found": None}

    def plan(self) -> PlannedRun:
        """Make all parts of the cell's run, and release the resolved request.

        Raises
        ------
        InputError
            The request is not valid, or resolves to a different run here.
        """
        from pflbench.runs.planning import made, plan

        found, self.found = self.found, None
        planned = plan(self.request) if found is None else made(found)
        if planned.cell.id != self.run_id:
            raise InputError(
                f"The cell resolves to run {planned.cell.id} on the machine that runs it, not to "
                f"{self.run_id}: expected the same data, plugins and settings there."
            )
        return planned


@dataclass(frozen=True)
class Outcome:
    """The outcome of a cell.

    Attributes
    ----------
    run_id
        The cell's.
    status
        "complete": it ran to its end; "there": it was complete already; "busy": another
        process is running it; "failed".
    message
        One sentence: why it failed, or which process runs it; else "".
    trace
        The traceback of a failure, else "".
    """

    run_id: str
    status: Status
    message: str = ""
    trace: str = field(default="", repr=False)

    @property
    def done(self) -> bool:
        """Whether the cell's result exists."""
        return self.status in ("complete", "there")


class Watch:
    """Base of observers of cells: override the events that you need.

    All methods are called by the thread that runs the cells' executor.
    """

    def began(self, work: Work) -> None:
        """Handle the start of a cell, for the first time or again."""

    def observers(self, work: Work) -> Sequence[Observer]:
        """Return the observers of a cell's rounds, if the executor can notify them."""
        return ()

    def notice(self, text: str) -> None:
        """Handle a notice about the execution that users should see."""

    def remark(self, text: str) -> None:
        """Handle a `Remark`: a notice that does not affect numbers."""
        self.notice(text)

    def ended(self, work: Work, outcome: Outcome) -> None:
        """Handle the end of a cell; a busy one is tried again at the end."""

    def there(self, runs: Sequence[tuple[Work, Result]]) -> None:
        """Handle the cells that are complete already, before any cell starts."""

    def waiting(self, works: Sequence[Work], holders: Sequence[str]) -> None:
        """Handle the wait for cells that other processes run, when no other cell is left."""


class Executor(Protocol):
    """Runs cells somewhere; a context manager, which leaves nothing behind when it is left."""

    def __enter__(self) -> Self:
        """Make ready."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Stop all running cells, within seconds."""
        ...

    def begin(self, works: Sequence[Work]) -> None:
        """Refuse cells that it cannot run, before anything is written of them.

        Raises
        ------
        InputError, WorkError
            A requirement of the cells is missing.
        """
        ...

    def run(self, works: Sequence[Work], watch: Watch) -> Iterator[Outcome]:
        """Run cells, and yield the outcome of each as it ends, in any order.

        It calls `watch.began`, and if it can notifies `watch.observers` of rounds; the caller
        calls `watch.ended`. A failed cell does not stop the others. An executor may run several
        times, one after the other.
        """
        ...


def find(work: Work, store: Store) -> Result | None:
    """Return a cell's result if it need not be run, and notify plugins' observers.

    Raises
    ------
    InputError
        The stored run is damaged.
    """
    from pflbench.runs.keeping import tell_not_kept
    from pflbench.runs.keeping_predictions import tell_without_predictions
    from pflbench.runs.observing import Observers, observers_of
    from pflbench.runs.result import Result
    from pflbench.schema.plugins import installed

    run = None if work.request.rerun == "always" else store.get(work.run_id)
    if run is None or run.status != "complete":
        return None
    store.tidy(run)
    tell_not_kept(run, work.request)
    tell_without_predictions(run, work.request)
    result = Result.stored(run)
    Observers(observers_of(installed(), work.request.observers)).notify("reused", result)
    return result


class _Reused(Observer):
    """Remembers whether a run was complete already."""

    def __init__(self) -> None:
        self.there = False

    def reused(self, result: Result) -> None:
        self.there = True


def do(work: Work, observers: Iterable[Observer] = ()) -> Outcome:
    """Run a cell in this process, resume it, or find it complete; an error is its outcome.

    Every executor calls this, in its chosen process. The results folder exists: if it is moved
    or removed meanwhile, it is not made again. Only an interruption passes through.
    """
    from pflbench.results import RunBusyError, Store
    from pflbench.runs import execute

    reused = _Reused()
    try:
        execute(work.plan(), Store(work.results), [reused, *observers])
    except RunBusyError as error:
        return Outcome(work.run_id, "busy", sentence(error))
    except (Exception, SystemExit) as error:  # any error stops only this cell
        return Outcome(work.run_id, "failed", sentence(error), "".join(format_exception(error)))
    return Outcome(work.run_id, "there" if reused.there else "complete")
