"""Where output goes: tables on stdout, progress and notices on stderr."""

from __future__ import annotations

import io
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TextIO

import rich_click as click
from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from pflbench.schema.error_text import plain

_UNBOUNDED = 10_000
"""Columns of output that is not a terminal's: nothing is folded or cut there."""


def on_terminal(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal; one that was closed before the program began is None."""
    return stream is not None and stream.isatty()


def show(*renderables: RenderableType, width: int = _UNBOUNDED) -> None:
    """Print a command's output on stdout, in `width` columns if it is not a terminal."""
    if on_terminal(sys.stdout):
        console = Console(highlight=False)
        for renderable in renderables:
            console.print(renderable)
        return
    console = Console(highlight=False, width=width, no_color=True, file=io.StringIO())
    with console.capture() as captured:
        for renderable in renderables:
            console.print(renderable)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def literal(text: str) -> str:
    """Return markup that prints a text unchanged, on one line, without terminal commands."""
    return escape(plain(text))


def fits(renderable: RenderableType) -> bool:
    """Whether `show` would print it without folding or cutting anything."""
    if not on_terminal(sys.stdout):
        return True
    console = Console(highlight=False)
    natural = console.measure(renderable, options=console.options.update(width=_UNBOUNDED))
    return natural.maximum <= console.width


def progress_console() -> Console:
    """Return a console on stderr, for progress and notices."""
    if on_terminal(sys.stderr):
        return Console(stderr=True, highlight=False)
    return Console(stderr=True, highlight=False, soft_wrap=True)


def waiting(what: str, *, show: bool = True) -> AbstractContextManager[object]:
    """Show a spinner while the body of a `with` is at work, on a terminal."""
    console = progress_console()
    return console.status(what) if show and console.is_terminal else nullcontext()


def table(*columns: str, title: str | None = None) -> Table:
    """Return an empty table in the one style of this program."""
    made = Table(
        box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False
    )
    for i, column in enumerate(columns):
        made.add_column(column, style="cyan" if i == 0 else "", no_wrap=i == 0)
    return made


def numbers_right(made: Table, first: int = 1, last: int | None = None) -> Table:
    """Align the columns of a table from `first` to before `last`, and take the padding between."""
    made.collapse_padding = True  # in 80 columns no number is cut off
    for column in made.columns[first:last]:
        column.justify = "right"
    return made
