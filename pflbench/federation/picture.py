"""Pictures of a partition: who holds what, in a terminal and as an image file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from pflbench.federation.allocation import SPLIT_WORDS
from pflbench.federation.shards import SPLITS, Split
from pflbench.federation.skew import count_matrix
from pflbench.figures import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_DIGITS: Final = "12345678"
_WIDEST_CELL: Final = 4
_SIZE_BAR: Final = 12
_LABELLED: Final = 60
"""Up to so many clients are drawn in the order of their numbers, each with its label."""


class PartitionPicture:
    """A rich renderable: a row a client, a bar a class, and the client's size.

    Parameters
    ----------
    table
        Class counts, as `pflbench.federation.skew.class_counts` makes them.
    split
        The split to show.
    rows
        At most so many clients are shown; of more, those at even steps from the largest to the
        smallest.
    """

    def __init__(self, table: pd.DataFrame, split: Split = "train", rows: int = 50) -> None:
        self.counts = count_matrix(table, split)
        self.split: Split = split
        clients = len(self.counts)
        self.shown: NDArray[np.int64] = np.arange(clients)
        if clients > rows:
            by_size = np.argsort(-self.counts.sum(axis=1), kind="stable")
            self.shown = by_size[np.linspace(0, clients - 1, rows).round().astype(np.int64)]

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Ask for a width that shows a few classes, up to one that shows all."""
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
            yield Segment(f"{i:>{self._number_width()}}  ")
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
        return max(len(str(len(self.counts) - 1)), len("class"))

    def _fixed_width(self) -> int:
        largest = int(self.counts.sum(axis=1).max())
        return self._number_width() + 2 + 2 + _SIZE_BAR + 1 + len(f"{largest:,}")


def save_picture(table: pd.DataFrame, path: Path) -> None:
    """Draw sizes and class shares of all clients and splits into an image file.

    Parameters
    ----------
    table
        Class counts, as `pflbench.federation.skew.class_counts` makes them.
    path
        Where to; the ending says the format: .png, .pdf or .svg.

    Raises
    ------
    pflbench.errors.InputError
        Another ending, or a folder that is not there.
    pflbench.errors.WorkError
        The file cannot be written.
    """
    save_figure(lambda: _figure(table), path)


def _figure(table: pd.DataFrame) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    matrices = {split: count_matrix(table, split) for split in SPLITS}
    clients, classes = matrices["train"].shape
    order = np.arange(clients)
    axis = "client"
    if clients > _LABELLED:
        main = matrices["train"].argmax(axis=1)
        order = np.lexsort((-matrices["train"].sum(axis=1), main))
        axis = f"{clients:,} clients, by their most frequent class, then by size"

    width = float(np.clip(2.5 + 0.16 * clients, 6, 12))
    height = float(np.clip(0.14 * classes, 1.2, 3.0))
    figure = Figure(figsize=(width, 1.9 + 3 * height), layout="constrained")
    rows = figure.subplots(4, 1, sharex=True, height_ratios=[1.3, height, height, height])
    _draw_sizes(rows[0], {split: matrices[split][order].sum(axis=1) for split in SPLITS})
    shares = {s: m[order] / np.maximum(m[order].sum(axis=1, keepdims=True), 1)
              for s, m in matrices.items()}  # fmt: skip
    peak = max(float(share.max()) for share in shares.values())
    for axes, split in zip(rows[1:], SPLITS, strict=True):
        image = axes.imshow(
            shares[split].T, aspect="auto", interpolation="nearest", origin="lower",
            cmap="viridis", vmin=0.0, vmax=peak,
        )  # fmt: skip
        axes.set_ylabel(f"{SPLIT_WORDS[split]}\nclass")
        if classes <= 12:
            axes.set_yticks(range(classes))
    rows[-1].set_xlabel(axis)
    rows[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    figure.colorbar(image, ax=list(rows[1:]), label="share of the client's samples",
                    format=PercentFormatter(1.0, decimals=0))  # fmt: skip
    return figure


def _draw_sizes(axes: Axes, sizes: dict[Split, NDArray[np.int64]]) -> None:
    """Draw the clients' sizes as bars, the splits stacked."""
    at = np.arange(len(sizes["train"]))
    floor = np.zeros(len(at))
    for split, color in zip(SPLITS, ("#35618f", "#e0922f", "#9aa5b1"), strict=True):
        axes.bar(at, sizes[split], bottom=floor, width=0.9 if len(at) <= _LABELLED else 1.0,
                 color=color, label=SPLIT_WORDS[split], linewidth=0)  # fmt: skip
        floor += sizes[split]
    axes.set_ylabel("samples")
    axes.legend(ncols=3, frameon=False, fontsize="small", loc="lower left",
                bbox_to_anchor=(0, 1.0), borderaxespad=0)  # fmt: skip
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


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
