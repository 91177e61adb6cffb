"""Common parts of all displays of cells: notices printed once, a block at the terminal's foot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.padding import Padding

from pflbench.report.terminal.screen import literal


class SaidOnce:
    """Prints notices on runs, once.

    Parameters
    ----------
    console
        Where to print it.
    quiet
        Whether only notices are printed.
    """

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self.console, self.quiet = console, quiet
        self._said: set[str] = set()

    def notice(self, text: str) -> None:
        """Print an important message, once."""
        if text and text not in self._said:
            self._said.add(text)
            self.console.print(f"[yellow]Notice:[/yellow] {literal(text)}")

    def remark(self, text: str) -> None:
        """Print it, except under `--quiet`."""
        if not self.quiet:
            self.notice(text)

    def data(self, source: str) -> None:
        """Print where data comes from."""
        if source and source not in self._said and not self.quiet:
            self._said.add(source)
            self.console.print(f"Data: {literal(source)}")


@dataclass
class _Block:
    """Renders a block again at each refresh."""

    block: Callable[[], RenderableType]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Padding(self.block(), (1, 0, 0, 0))


def at_foot(console: Console, block: Callable[[], RenderableType]) -> Live:
    """Return what shows a block at the foot of the terminal, renewed several times a second."""
    return Live(
        _Block(block),
        console=console,
        refresh_per_second=4,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
