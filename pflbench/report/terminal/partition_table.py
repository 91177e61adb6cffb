"""The picture of a partition in a terminal.

`pflbench.report.pictures` draws it into files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from pflbench.federation.client_names import label
from pflbench.federation.skew import count_matrix
from pflbench.federation.splits import SPLIT_WORDS, Split

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_DIGITS: Final = "12345678"
_WIDEST_CELL: Final = 4
_SIZE_BAR: Final = 12


class PartitionPicture:
    """A rich renderable: a row a client, a bar a class, and the client's size.

    Parameters
    ----------
    table
        Class counts, as `pflbench.federation.skew.class_counts` makes them.
    split
        The split to show.
    rows
        At most this number of clients is shown; of more, those at even steps from the largest to
        the smallest.
    names
        The clients' names, if the data name them.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        split: Split = "train",
        rows: int = 50,
        names: Sequence[str] | None = None,
    ) -> None:
        self.counts = count_matrix(table, split)
        self.split: Split = split
        clients = len(self.counts)
        self.shown: NDArray[np.int64] = np.arange(clients)
        if clients > rows:
            by_size = np.argsort(-self.counts.sum(axis=1), kind="stable")
            self.shown = by_size[np.linspace(0, clients - 1, rows).round().astype(np.int64)]
        # Names in other scripts may be wider than their characters are many.
        self._labels = {int(i): Text(label(int(i), names), end="") for i in self.shown}

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Request a width between a few classes and all."""
        classes = self.counts.shape[1]
        fixed = self._fixed_width()
        return Measurement(
            min(options.max_width, fixed + 1),
            min(options.max_width, fixed + _WIDEST_CELL * classes),
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw for the width and the characters that the terminal has."""
        clients, classes = self.counts.shape
        room = max(options.max_width - self._fixed_width(), 1)
        together = -(-classes // room)  # neighbouring classes in one cell
        starts = np.arange(0, classes, together)
        cell = min(room // len(starts), _WIDEST_CELL)
        sizes = self.counts.sum(axis=1)
        shares = np.add.reduceat(self.counts, starts, axis=1)[self.shown] / sizes[self.shown, None]
        peak = float(shares.max())
        bars = _DIGITS if options.ascii_only else _BLOCKS

        yield Text(self._title(clients))
        yield from _line(self._head(starts, cell), Style(dim=True))
        for i, own in zip(self.shown, shares, strict=True):
            words = self._labels[int(i)].copy()
            words.pad_left(self._number_width() - words.cell_len)
            words.pad_right(2)
            yield words
            yield from _cells(own / peak, cell, bars)
            size = int(sizes[i])
            bar = "=" if options.ascii_only else "━"
            length = max(round(_SIZE_BAR * size / int(sizes.max())), 1)
            yield from _line(f"  {bar * length:<{_SIZE_BAR}} {size:,}", Style(color="cyan"))
        unit = "a class" if together == 1 else f"{together} neighbouring classes"
        yield Text(
            f"Bars: share of {unit} in the client's samples, {bars[-1]} = {peak:.0%}, "
            "blank = none.",
            style="dim",
        )

    def _title(self, clients: int) -> str:
        word = SPLIT_WORDS[self.split].capitalize()
        if len(self.shown) == clients:
            return f"{word} samples of {clients:,} client{'s' if clients > 1 else ''}"
        return f"{word} samples of {len(self.shown)} of {clients:,} clients, largest to smallest"

    def _head(self, starts: NDArray[np.int64], cell: int) -> str:
        """Return the line of class numbers: each where it has the room."""
        line = ""
        left = self._number_width() + 2
        for column, start in enumerate(starts):
            at = left + column * cell
            if at > len(line) or (column == 0 and not line):
                line = line.ljust(at) + str(start)
        return "class".rjust(left - 2).ljust(left)[:left] + line[left:]

    def _number_width(self) -> int:
        return max(*(text.cell_len for text in self._labels.values()), len("class"))

    def _fixed_width(self) -> int:
        largest = int(self.counts.sum(axis=1).max())
        return self._number_width() + 2 + 2 + _SIZE_BAR + 1 + len(f"{largest:,}")


def _cells(levels: NDArray[np.float64], width: int, bars: str) -> Iterator[Segment]:
    """Draw one client's classes: levels in [0, 1], each `width` characters wide."""
    gap = " " if width > 1 else ""
    for level in levels:
        step = min(int(level * len(bars)), len(bars) - 1)
        glyph = bars[step] if level > 0 else " "
        color = "bright_green" if level > 0.5 else "green"
        yield Segment(glyph * (width - len(gap)) + gap, Style(color=color))


def _line(text: str, style: Style | None = None) -> Iterator[Segment]:
    yield Segment(text.rstrip(), style)
    yield Segment.line()
