"""A server's learnt relations of clients, as lines of a terminal."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from pflbench.analysis.client_order import order_of
from pflbench.analysis.relatedness_score import Truth, neighbours_of, right_neighbours
from pflbench.analysis.relatedness_tables import Matrices, Matrix
from pflbench.federation.client_names import Names, label

_SHADES: Final = "·░▒▓█"
_PLAIN: Final = ".-+*#"
_LISTED: Final = 3
"""Neighbours that are named of each client, at most."""

_NAMES_WIDTH: Final = 36
"""Columns that naming neighbours takes."""


class RelatednessPicture:
    """A rich renderable: a row a client, with its row of S, its row of Π, and its neighbours.

    Parameters
    ----------
    found, truth
        The learnt relations, and the true ones if known.
    rows
        At most this number of clients is shown; of more, those at even steps of the order.
    names
        The clients' names, by number.
    """

    def __init__(
        self, found: Matrices, truth: Truth | None, rows: int = 40, names: Names | None = None
    ) -> None:
        self.found, self.truth, self.names = found, truth, names
        self.order, self.words = order_of(found, truth)
        n = found.clients
        self.shown = self.order
        if n > rows:
            self.shown = self.order[np.linspace(0, n - 1, rows).round().astype(np.int64)]
        self.right = None if truth is None else right_neighbours(found, truth)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Request the width of both full matrices."""
        wide = self._number_width() + 2 * (len(self.shown) + 2) + _NAMES_WIDTH
        return Measurement(min(options.max_width, 40), min(options.max_width, wide))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw for the width and the characters that the terminal has."""
        left = self._number_width() + 2
        room = options.max_width - left - _NAMES_WIDTH - 4
        columns = max(1, min(len(self.shown), room // 2))
        shades = _PLAIN if options.ascii_only else _SHADES
        clients = self.found.clients
        some = "" if len(self.shown) == clients else f"{len(self.shown)} of "
        yield Text(f"{some}{clients:,} clients, {self.words}")
        yield Text(
            f"{'client'.rjust(left - 2)}  {'S'.ljust(columns)}  {'Π'.ljust(columns)}  "
            "listens to (weight)",
            style="dim",
        )
        scale = {
            "weight": max(float(self.found.weight.max()), 1e-12),
            "propagation": max(float(self.found.propagation.max()), 1e-12),
        }
        for i in self.shown:
            words = Text(self._label(int(i)), end="")
            words.pad_left(left - 2 - words.cell_len)
            words.pad_right(2)
            yield words
            for name in ("weight", "propagation"):
                row = self._together(getattr(self.found, name)[i], columns)
                yield Segment(_shaded(row / scale[name], shades), Style(color="blue"))
                yield Segment("  ")
            yield from self._neighbours(int(i))
            yield Segment.line()
        more = columns < clients
        yield Text(
            f"Shades: {shades[-1]} = {scale['weight']:.2f} in S, {scale['propagation']:.2f} in Π, "
            f"{shades[0]} = less than {1 / (2 * len(shades)):.0%} of that"
            f"{'; a column shows the largest of several clients' if more else ''}."
            f"{'' if self.right is None else ' ' + self._mark_words()}",
            style="dim",
        )

    def _together(self, row: Matrix, columns: int) -> Matrix:
        """Return a row in the order of the picture; of several clients in a column the largest."""
        starts = np.linspace(0, len(row), columns + 1).round().astype(np.int64)[:-1]
        largest: Matrix = np.maximum.reduceat(row[self.order], starts)
        return largest

    def _neighbours(self, client: int) -> list[Segment]:
        segments = []
        heard: NDArray[np.int64] = neighbours_of(self.found, client)
        for j in heard[:_LISTED]:
            words = f"{self._label(int(j))} ({self.found.weight[client, j]:.2f})"
            wrong = self.right is not None and not self.right[client, j]
            style = Style(color="red") if wrong else None
            segments += [Segment(f"{words}{'!' if wrong else ' '}", style), Segment("  ")]
        if len(heard) > _LISTED:
            segments.append(Segment(f"+ {len(heard) - _LISTED}", Style(dim=True)))
        return segments or [Segment("none", Style(dim=True))]

    def _mark_words(self) -> str:
        if self.truth is not None and self.truth.coordinates is None:
            return "!: in another group."
        return "!: not one of the truly nearest."

    def _number_width(self) -> int:
        return max(*(cell_len(self._label(int(i))) for i in self.order), len("client"))

    def _label(self, place: int) -> str:
        return label(int(self.found.numbers[place]), self.names)


def _shaded(levels: Matrix, shades: str) -> str:
    step = np.clip((levels * len(shades) - 0.5).round().astype(int), 0, len(shades) - 1)
    return "".join(shades[k] for k in step)
