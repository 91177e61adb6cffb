"""The display of a matrix's cells when several run at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pflbench.cli.progress.one_cell import outcome as headline
from pflbench.cli.progress.said_once import SaidOnce, at_foot
from pflbench.cli.progress.watching import MANY, many_there, show_trace, waiting_for
from pflbench.experiments.executors import Outcome, Watch, Work
from pflbench.report.terminal.screen import literal
from pflbench.report.terminal.units import duration
from pflbench.results import Store
from pflbench.runs import Evaluation, Observer, Progress, Result, RunInfo
from pflbench.schema.error_text import plain

SHOWN = 12
"""Running cells that the live block shows at most."""

ENOUGH = 0.25
"""Cells after which the remaining time is estimated."""


@dataclass
class _Running(Observer):
    """A running cell, as reported by its worker."""

    work: Work
    board: SideBySide
    info: RunInfo | None = None
    progress: Progress | None = None
    evaluation: Evaluation | None = None
    since: float = field(default_factory=time.monotonic)

    def started(self, info: RunInfo) -> None:
        """Take note of the run."""
        self.info = info
        self.board.notice(info.notice)
        self.board.data(info.source)

    def round_done(self, progress: Progress) -> None:
        """Take note of the round."""
        self.progress = progress
        self.evaluation = progress.evaluation or self.evaluation

    @property
    def share(self) -> float:
        """How much of the cell is done, from 0 to 1."""
        if self.progress is None:
            return self.info.start_round / self.info.rounds if self.info else 0.0
        return self.progress.round / self.progress.rounds

    def cells(self) -> tuple[RenderableType, ...]:
        """Return the row that shows it: title, bar, rounds, accuracy."""
        bar = ProgressBar(total=1.0, completed=self.share, width=14)
        state, accuracy = "preparing", ""
        if self.progress is not None:
            state = f"{self.progress.round}/{self.progress.rounds}"
        elif self.info is not None:
            state = f"{self.info.start_round}/{self.info.rounds}"
        if self.evaluation is not None:
            accuracy = f"{self.evaluation.val_mean:.1%}"
        return Text(plain(self.work.title)), bar, Text(state), Text(accuracy, style="green")


class SideBySide(SaidOnce, Watch):
    """One line a cell that has ended.

    Parameters
    ----------
    console
        Where to show it.
    works
        All cells.
    quiet
        Whether only notices and failures are shown.
    debug
        Whether the traceback of a failure is shown.
    """

    def __init__(
        self, console: Console, works: Sequence[Work], *, quiet: bool, debug: bool
    ) -> None:
        super().__init__(console, quiet=quiet)
        self.total, self.debug = len(works), debug
        self.running: dict[str, _Running] = {}
        self.ended_cells = self.run_cells = self.failed = 0
        self.resting = ""
        self.start = 0.0  # when the first cell began

    def __enter__(self) -> Self:
        """Begin to show."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, t: TracebackType | None
    ) -> None:
        """End showing."""

    def began(self, work: Work) -> None:
        """Take note of a cell that is being run."""
        self.resting = ""
        self.start = self.start or time.monotonic()
        self.running[work.run_id] = _Running(work, self)

    def observers(self, work: Work) -> Sequence[Observer]:
        """Let its rounds be shown."""
        running = self.running.get(work.run_id)
        return [] if running is None else [running]

    def ended(self, work: Work, outcome: Outcome) -> None:
        """Print a cell's result, or why it has none."""
        self.running.pop(work.run_id, None)
        title = literal(work.title)
        if outcome.status == "busy":
            self._line(f"{title}: skipped for now. {literal(outcome.message)}")
            return
        self.ended_cells += 1
        self.run_cells += outcome.status != "there"
        if outcome.done:
            run = Store(work.results).get(work.run_id)
            there = f"there already, run {work.run_id}: " if outcome.status == "there" else ""
            said = headline(Result.stored(run)) if run is not None else "complete"
            self._line(f"{title}: {there}{said}")
            return
        self.failed += 1
        self._line(f"[bold red]failed[/bold red] {title}: {literal(outcome.message)}", always=True)
        if self.debug:
            show_trace(self.console, outcome.trace)

    def there(self, runs: Sequence[tuple[Work, Result]]) -> None:
        """Print which cells need not run."""
        if len(runs) > MANY and not self.quiet:
            self.console.print(many_there(len(runs), self.total))
        for work, result in runs:
            self.ended_cells += 1
            if len(runs) <= MANY:
                self._line(
                    f"{literal(work.title)}: there already, run {work.run_id}: {headline(result)}"
                )

    def waiting(self, works: Sequence[Work], holders: Sequence[str]) -> None:
        """Print which runs we are waiting for."""
        self.resting = waiting_for(works, holders)
        if not self.quiet:
            self.console.print(literal(self.resting))

    def _line(self, markup: str, *, always: bool = False) -> None:
        if always or not self.quiet:
            number = literal(f"[{self.ended_cells}/{self.total}]")
            self.console.print(f"[dim]{number}[/dim] {markup}")


class LiveSideBySide(SideBySide):
    """Also a block at the foot of the terminal: all cells in a bar, the running ones below."""

    def __init__(
        self, console: Console, works: Sequence[Work], *, quiet: bool, debug: bool
    ) -> None:
        super().__init__(console, works, quiet=quiet, debug=debug)
        self._live = at_foot(console, self.block)

    def __enter__(self) -> Self:
        """Begin to show."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, t: TracebackType | None
    ) -> None:
        """Remove the block."""
        self._live.stop()

    def waiting(self, works: Sequence[Work], holders: Sequence[str]) -> None:
        """Show in the block which runs we are waiting for."""
        self.resting = waiting_for(works, holders)

    def block(self) -> Group:
        """Return the current block."""
        head = Table.grid(padding=(0, 2))
        failed = Text(f"{self.failed} failed", style="bold red") if self.failed else Text()
        bar = ProgressBar(total=self.total, completed=self._done(), width=30)
        count = Text(f"{self.ended_cells} of {self.total} cells", style="bold")
        head.add_row(count, bar, Text(self._left()), failed)
        rows = Table.grid(padding=(0, 2), expand=True)
        rows.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        rows.add_column(width=14)
        rows.add_column(justify="right", no_wrap=True)
        rows.add_column(justify="right", no_wrap=True, min_width=6)
        running = list(self.running.values())
        for one in running[:SHOWN]:
            rows.add_row(*one.cells())
        below: list[RenderableType] = [rows] if running else []
        if len(running) > SHOWN:
            below.append(Text(f"and {len(running) - SHOWN} more", style="dim"))
        if self.resting and not running:
            below.append(Text(plain(self.resting), style="dim"))
        return Group(head, *below)

    def _done(self) -> float:
        return self.ended_cells + sum(one.share for one in self.running.values())

    def _left(self) -> str:
        """Return the expected time until all have ended, by the pace of the finished cells."""
        parts = sum(one.share for one in self.running.values())
        done = self.run_cells + parts
        if done < ENOUGH or self.resting:
            return ""
        left = (self.total - self.ended_cells - parts) * (time.monotonic() - self.start) / done
        return f"about {duration(left)} left"
