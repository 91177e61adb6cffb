"""What every executor is, what it is given, and the one function that runs a cell anywhere."""

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
        What is asked for.
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
        """Make what the cell needs to run, and let go of what was resolved of it.

        Raises
        ------
        InputError
            Something cannot be done as asked, or the request is another run here.
        """
        from pflbench.runs.planning import made, plan

        found, self.found = self.found, None
        planned = plan(self.request) if found is None else made(found)
        if planned.cell.id != self.run_id:
            raise InputError(
                f"The cell resolves to run {planned.cell.id} where it is to be run, not to "
                f"{self.run_id}: expected the same data, plugins and settings there."
            )
        return planned


@dataclass(frozen=True)
class Outcome:
    """What became of a cell.

    Attributes
    ----------
    run_id
        The cell's.
    status
        "complete": it was run to its end; "there": it was complete already; "busy": another
        process is running it; "failed".
    message
        One sentence: why it failed, or who runs it; else "".
    trace
        The traceback of a failure, "" if there is none.
    """

    run_id: str
    status: Status
    message: str = ""
    trace: str = field(default="", repr=False)

    @property
    def done(self) -> bool:
        """Whether the cell's result is there."""
        return self.status in ("complete", "there")


class Watch:
    """Base of what is told how cells fare: override what you want to hear of.

    All methods are called by the thread that runs the cells' executor.
    """

    def began(self, work: Work) -> None:
        """Hear that a cell is being run, for the first time or once more."""

    def observers(self, work: Work) -> Sequence[Observer]:
        """Return who is told of a cell's rounds, where the executor can tell of them."""
        return ()

    def notice(self, text: str) -> None:
        """Hear something about the execution that people should see."""

    def remark(self, text: str) -> None:
        """Hear a `Remark`: the same, but of what no number depends on."""
        self.notice(text)

    def ended(self, work: Work, outcome: Outcome) -> None:
        """Hear what became of a cell that began; one that is busy is tried again at the end."""

    def there(self, runs: Sequence[tuple[Work, Result]]) -> None:
        """Hear, before any cell begins, which of them are complete already."""

    def waiting(self, works: Sequence[Work], holders: Sequence[str]) -> None:
        """Hear that nothing is left to do but to wait for cells that others run."""


class Executor(Protocol):
    """Runs cells somewhere; a context manager, which leaves nothing behind when it is left."""

    def __enter__(self) -> Self:
        """Make ready."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Stop whatever still runs, within seconds."""
        ...

    def begin(self, works: Sequence[Work]) -> None:
        """Refuse cells that it cannot run, before anything is written of them.

        Raises
        ------
        InputError, WorkError
            What the cells need is not there.
        """
        ...

    def run(self, works: Sequence[Work], watch: Watch) -> Iterator[Outcome]:
        """Run cells, and yield what became of each as it ends, in any order.

        It calls `watch.began`, and where it can tells `watch.observers` of rounds; who iterates
        tells `watch.ended`. One cell that fails stops no other. An executor may run several
        times, one after the other.
        """
        ...


def find(work: Work, store: Store) -> Result | None:
    """Return a cell's result if it is there and needs not be run, and tell plugins' observers.

    Raises
    ------
    InputError
        What is there of the run is damaged.
    """
    from pflbench.runs.observing import Told, observers_of
    from pflbench.runs.result import Result
    from pflbench.schema.plugins import installed

    run = None if work.request.rerun == "always" else store.get(work.run_id)
    if run is None or run.status != "complete":
        return None
    store.tidy(run)
    result = Result.stored(run)
    Told(observers_of(installed())).tell("reused", result)
    return result


class _Reused(Observer):
    """Remembers whether a run was there."""

    def __init__(self) -> None:
        self.there = False

    def reused(self, result: Result) -> None:
        self.there = True


def do(work: Work, observers: Iterable[Observer] = ()) -> Outcome:
    """Run a cell in this process, resume it, or find it there; what stops it is its outcome.

    Every executor calls this, in whichever process it has chosen. The results folder is there: if
    it is moved or removed meanwhile, it is not made again. Only an interruption passes through.
    """
    from pflbench.results import RunBusyError, Store
    from pflbench.runs import execute

    reused = _Reused()
    try:
        execute(work.plan(), Store(work.results), [reused, *observers])
    except RunBusyError as error:
        return Outcome(work.run_id, "busy", sentence(error))
    except (Exception, SystemExit) as error:  # whatever stops this cell, the others are run
        return Outcome(work.run_id, "failed", sentence(error), "".join(format_exception(error)))
    return Outcome(work.run_id, "there" if reused.there else "complete")
