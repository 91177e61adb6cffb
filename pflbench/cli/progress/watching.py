"""The display of a matrix's cells when they run one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console

from pflbench.cli.progress.one_cell import Display
from pflbench.experiments.executors import Outcome, Watch, Work
from pflbench.report.terminal.screen import literal
from pflbench.runs import Observer, Result
from pflbench.schema.error_text import plain

MANY = 20
"""More complete cells than this are reported in one line."""


class CellByCell(Watch):
    """Shows cells that run one after the other, each with its rounds.

    Parameters
    ----------
    display
        Where to show them; it is entered and left with this.
    works
        All cells, in their order.
    quiet
        Whether only notices and failures are shown.
    debug
        Whether the traceback of a failure is shown.
    """

    def __init__(
        self, display: Display, works: Sequence[Work], *, quiet: bool, debug: bool
    ) -> None:
        self.display, self.quiet, self.debug = display, quiet, debug
        self.numbers = {work.run_id: number for number, work in enumerate(works, start=1)}

    def __enter__(self) -> Self:
        """Begin to show."""
        self.display.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, t: TracebackType | None
    ) -> None:
        """End showing."""
        self.display.__exit__(kind, error, t)

    def began(self, work: Work) -> None:
        """Turn to a cell."""
        self.display.begin(self.numbers[work.run_id], work.title)

    def observers(self, work: Work) -> Sequence[Observer]:
        """Let its rounds be shown."""
        return [self.display]

    def notice(self, text: str) -> None:
        """Print it, once."""
        self.display.notice(text)

    def remark(self, text: str) -> None:
        """Print it, except under `--quiet`."""
        if not self.quiet:
            self.display.notice(text)

    def ended(self, work: Work, outcome: Outcome) -> None:
        """Print that a cell failed, or is skipped."""
        if outcome.status == "failed":
            self.display.problem(outcome.message)
            if self.debug:
                show_trace(self.display.console, outcome.trace)
        elif outcome.status == "busy" and not self.quiet:
            said = f"{work.title}: skipped for now. {outcome.message}"
            self.display.line(literal(said))

    def there(self, runs: Sequence[tuple[Work, Result]]) -> None:
        """Print which cells need not run."""
        if self.quiet:
            return
        if len(runs) > MANY:
            self.display.console.print(many_there(len(runs), len(self.numbers)))
            return
        for work, result in runs:
            self.began(work)
            self.display.reused(result)

    def waiting(self, works: Sequence[Work], holders: Sequence[str]) -> None:
        """Print which runs we are waiting for."""
        if not self.quiet:
            self.display.rest(waiting_for(works, holders))


def many_there(there: int, cells: int) -> str:
    """Say how many cells need not be run."""
    return f"{there:,} of {cells:,} cells are complete already."


def waiting_for(works: Sequence[Work], holders: Sequence[str]) -> str:
    """Return which runs we are waiting for."""
    cells = "1 cell" if len(works) == 1 else f"{len(works)} cells"
    runs = "runs" if len(holders) == 1 else "run"
    return f"Waiting for {cells} that {' and '.join(holders)} {runs}."


def show_trace(console: Console, trace: str) -> None:
    """Print the traceback of a failure."""
    if trace:
        console.print("\n".join(map(plain, trace.split("\n"))), markup=False)
