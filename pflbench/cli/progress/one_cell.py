"""The display while cells run: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pflbench.cli.progress.said_once import SaidOnce, at_foot
from pflbench.report.terminal.screen import literal
from pflbench.report.terminal.units import duration, size
from pflbench.runs.observer import Observer
from pflbench.schema.error_text import plain

if TYPE_CHECKING:
    from pflbench.runs import Result
    from pflbench.runs.observer import Evaluation, Progress, RunInfo

SECONDS_BETWEEN_LINES = 2.0
"""Plain lines of one run come no denser than this, except for the last evaluation."""


class Display(SaidOnce, Observer):
    """Shows the cells of a matrix; without overrides, only notices (`--quiet`).

    Parameters
    ----------
    console
        Where to show it.
    cells
        The number of cells.
    """

    def __init__(self, console: Console, cells: int) -> None:
        super().__init__(console)
        self.cells, self.cell = cells, 0
        self.title = ""
        self.info: RunInfo | None = None

    def __enter__(self) -> Display:
        """Begin to show."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """End showing."""

    def begin(self, cell: int, title: str) -> None:
        """Turn to the next cell, counted from 1."""
        self.cell, self.title, self.info = cell, title, None

    def line(self, markup: str) -> None:
        """Print a line about the current cell."""
        number = f"[dim]{literal(f'[{self.cell}/{self.cells}]')}[/dim] " if self.cells > 1 else ""
        self.console.print(number + markup)

    def problem(self, text: str) -> None:
        """Say that the current cell failed."""
        self.line(f"[bold red]failed[/bold red] {literal(self.title)}: {literal(text)}")

    def rest(self, text: str) -> None:
        """Say that no cell is being run, and why."""
        self.console.print(literal(text))

    def started(self, info: RunInfo) -> None:
        """Take note of the run."""
        self.info = info
        self.notice(info.notice)


class PlainDisplay(Display):
    """One line an evaluation, not too many of them."""

    def started(self, info: RunInfo) -> None:
        """Print the start of a cell."""
        super().started(info)
        self.data(info.source)
        resumed = f", resuming after round {info.start_round}" if info.start_round else ""
        self.line(
            f"{literal(self.title)}: {info.rounds} rounds, {literal(where(info))}, "
            f"run {info.run_id}{resumed}"
        )
        self._last = -math.inf

    def round_done(self, progress: Progress) -> None:
        """Print a line if the round was evaluated and the last line is a while ago."""
        now = time.monotonic()
        done = progress.round >= progress.rounds
        if progress.evaluation is None or (now - self._last < SECONDS_BETWEEN_LINES and not done):
            return
        self._last = now
        left = "" if done else f", {duration(progress.seconds_left)} left"
        self.line(
            f"round {progress.round}/{progress.rounds}: {accuracy(progress.evaluation)}, "
            f"{size(progress.bytes_up)} up, {size(progress.bytes_down)} down{left}"
        )

    def finished(self, result: Result) -> None:
        """Print the cell's result."""
        self.line(f"{literal(self.title)}: {outcome(result)}")

    def reused(self, result: Result) -> None:
        """Say that nothing had to be run."""
        self.line(f"{literal(self.title)}: there already, run {result.run_id}: {outcome(result)}")


class LiveDisplay(PlainDisplay):
    """A block of lines at the foot of the terminal, renewed several times a second."""

    def __init__(self, console: Console, cells: int) -> None:
        super().__init__(console, cells)
        self._live = at_foot(console, self.block)
        self._progress: Progress | None = None
        self._evaluation: Evaluation | None = None
        self._resting = ""
        self._since = time.monotonic()

    def __enter__(self) -> LiveDisplay:
        """Begin to show."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Remove the block from the terminal."""
        self._live.stop()

    def begin(self, cell: int, title: str) -> None:
        """Turn to the next cell."""
        super().begin(cell, title)
        self._progress = self._evaluation = None
        self._resting = ""
        self._live.refresh()

    def rest(self, text: str) -> None:
        """Show only why no cell is running."""
        self._resting = text
        self._live.refresh()

    def started(self, info: RunInfo) -> None:
        """Show the run."""
        Display.started(self, info)
        self.data(info.source)

    def round_done(self, progress: Progress) -> None:
        """Take note of the round; the block shows it when it is next renewed."""
        self._progress, self._since = progress, time.monotonic()
        self._evaluation = progress.evaluation or self._evaluation

    def block(self) -> Group:
        """Return the current block."""
        if self._resting:
            return Group(Text(plain(self._resting), style="dim"))
        head = Text()
        if self.cells > 1:
            head.append(f"cell {self.cell} of {self.cells}  ", style="dim")
        head.append(plain(self.title), style="bold")
        if self.info is not None:
            head.append(f"  {plain(where(self.info))}", style="dim")
        progress = self._progress
        if progress is None:
            rounds = self.info.rounds if self.info else 1
            start = self.info.start_round if self.info else 0
            state = "preparing" if self.info is None else f"round {start}/{rounds}"
            return Group(head, bar(start, rounds, state, ""), Text())
        waited = time.monotonic() - self._since
        left = duration(max(progress.seconds_left - waited, 0.0))
        foot = Text()
        if self._evaluation is not None:
            foot.append(accuracy(self._evaluation), style="green")
            foot.append(f" at round {self._evaluation.round}", style="dim")
            foot.append("   ")
        foot.append(f"{size(progress.bytes_up)} up, {size(progress.bytes_down)} down", style="cyan")
        state = f"round {progress.round}/{progress.rounds}"
        return Group(head, bar(progress.round, progress.rounds, state, f"{left} left"), foot)


def make_display(console: Console, cells: int, *, quiet: bool) -> Display:
    """Return the display that suits where the output goes."""
    if quiet:
        return Display(console, cells)
    return LiveDisplay(console, cells) if console.is_terminal else PlainDisplay(console, cells)


def bar(done: float, total: float, state: str, left: str) -> Table:
    """Return a bar with words next to it."""
    row = Table.grid(padding=(0, 2))
    row.add_row(ProgressBar(total=total, completed=done, width=40), Text(state), Text(left))
    return row


def where(info: RunInfo) -> str:
    """Describe a cell's federation and machine."""
    words = [info.partition, f"{info.clients} clients"]
    words += [part for part in (info.attendance, info.device) if part]
    if info.processes > 1:
        words.append(f"{info.processes} processes")
    if info.settled:
        words.append(info.settled)
    stacked = info.engine == "stacked"
    how = f", chunks of {_counted(info.chunk, 'row')}" if stacked else ""
    if info.device == "cpu":  # an accelerator does each operation in parallel
        how += f" on {_counted(info.chunk_cores, 'core')}"
    return f"{', '.join(words)}, engine {info.engine}{how}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def accuracy(evaluation: Evaluation) -> str:
    """Return the personal models' validation accuracy in words."""
    return (
        f"validation accuracy {evaluation.val_mean:.1%}, "
        f"worst tenth {evaluation.val_worst_decile:.1%}"
    )


def outcome(result: Result) -> str:
    """Return a finished cell's headline in words."""
    summary, scenario = result.summary, result.cell["scenario"]
    alone = scenario["eval_every"] >= scenario["rounds"]  # after the last round, and no other
    why = "the only one that was evaluated" if alone else "selected on validation"
    return (
        f"test accuracy {summary['test_accuracy']:.1%}, "
        f"worst tenth {summary['test_worst_decile']:.1%} "
        f"(round {summary['selected_round']}, {why}), "
        f"{duration(summary['seconds'])}"
    )
