"""A table of methods × scenarios for a paper: text, Markdown, CSV; LaTeX is next door."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pflbench.analysis.board import Board
from pflbench.analysis.comparison_table import ComparisonTable, Entry, without_verdict
from pflbench.analysis.protocol import (
    BASELINE,
    FEWEST_SEEDS,
    GLOBAL_HEADLINE,
    SIGNIFICANCE,
    no_verdict,
)
from pflbench.analysis.table_metrics import AGAINST_BASELINE, TableMetric, Unit
from pflbench.errors import UnknownNameError
from pflbench.report.tables import escape
from pflbench.report.tables.entries import NOTHING, four_digits, percent
from pflbench.results.measures import PERSONAL

if TYPE_CHECKING:
    import pandas as pd

Spread = Literal["std", "interval", "none"]
SPREADS: tuple[Spread, ...] = get_args(Spread)

BEST, TIED = "*", "~"
"""Marks after a number where text has neither bold nor underlined letters."""

_GLUE = "\u2060"
_HEAD = 22
"""Characters of a line in the head of a column, where words allow it."""


@dataclass(frozen=True)
class Cell:
    """What is printed of an entry: its mean, what follows it, and its footnote's letter."""

    mean: str
    spread: str = ""
    best: bool = False
    tied: bool = False
    letter: str = ""


@dataclass(frozen=True)
class Place:
    """A column: a scenario and a metric."""

    board: Board
    metric: TableMetric


@dataclass(frozen=True)
class PaperTable:
    """Methods × scenarios × metrics, ready to be printed.

    Attributes
    ----------
    content
        The numbers.
    spread
        What follows a mean: the standard deviation over seeds ("std"), the 95 % t "interval", or
        nothing ("none").
    across
        Columns of numbers side by side in LaTeX, where others follow below; None for as many as an
        article's page of one column has room for.
    """

    content: ComparisonTable
    spread: Spread = "std"
    across: int | None = None

    def __post_init__(self) -> None:
        if self.spread not in SPREADS:
            raise UnknownNameError("spread", str(self.spread), SPREADS)

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy frame: a row for each number, unrounded, accuracies in [0, 1].

        Columns: method, scenario, title, metric, value, std, low, high, seeds, best,
        verdict_against_best, p_holm, reason.
        """
        return self.content.to_frame()

    def to_csv(self) -> str:
        """Return the frame as CSV, without what a spreadsheet would take for a formula."""
        import pandas as pd

        records = [
            {k: escape.cell(v) if isinstance(v, str) else v for k, v in record.items()}
            for record in self.content.records()
        ]
        # As objects: a whole number stays one in a column in which others are missing.
        text: str = pd.DataFrame(records, dtype=object).to_csv(index=False, lineterminator="\n")
        return text

    def to_latex(self) -> str:
        """Return a LaTeX table, which needs the package booktabs."""
        from pflbench.report.tables.paper_latex import latex_table

        return latex_table(self)

    def to_markdown(self) -> str:
        """Return a Markdown table with its footnotes."""
        head = ["method", *map(self._heading, self.places())]
        lines = [
            [escape.markdown(text) for text in head],
            [":---", *("---:" for _ in self.places())],
            *(
                [escape.markdown(method), *(_markdown(self.cell(method, p)) for p in self.places())]
                for method in self.content.methods
            ),
        ]
        said = [*self.notes("bold", "underlined"), *self.scenarios(), *self.remarks()]
        notes = "\n".join(f"- {escape.markdown(note)}" for note in said)
        return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n{notes}\n"

    def to_text(self, width: int = 120) -> str:
        """Return the table as on a terminal of `width` characters, without colour."""
        out = io.StringIO()
        console = Console(file=out, width=width, color_system=None, legacy_windows=False)
        console.print(self.renderable(width))
        return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"

    def renderable(self, width: int) -> RenderableType:
        """Return the table for a console: parted, and nothing cut, where room is short."""
        parts: list[RenderableType] = []
        for places in self._parted(width):
            parts += [self._drawn(places), Text()]
        marked = self.notes(f"marked {BEST}", f"marked {TIED}")
        said = [*marked, *self.scenarios(), *self.remarks()]
        parts += [Padding(Text(escape.plain(note)), (0, 0, 0, 2)) for note in said]
        return Group(*parts)

    def _repr_html_(self) -> str:
        """Return the table for a notebook."""
        rows = "".join(
            f"<tr><th>{_html(method)}</th>"
            + "".join(f"<td>{_html(_text(self.cell(method, p)))}</td>" for p in self.places())
            + "</tr>"
            for method in self.content.methods
        )
        heads = "".join(f"<th>{_html(self._heading(p))}</th>" for p in self.places())
        notes = "<br>".join(map(_html, self.notes(f"marked {BEST}", f"marked {TIED}")))
        return f"<table><tr><th>method</th>{heads}</tr>{rows}</table><p>{notes}</p>"

    # What all formats show

    def places(self) -> list[Place]:
        """Return the columns in their order."""
        return [Place(b, metric) for b in self.content.boards for metric in self.content.metrics]

    def head(self, place: Place) -> list[str]:
        """Return the lines of a column's head: the scenario, then the metric if there are more."""
        titled = _folded(self._title(place.board), " · ")
        return [*titled, *([place.metric.title] if len(self.content.metrics) > 1 else [])]

    def cell(self, method: str, place: Place) -> Cell:
        """Return what is printed of a method in a column."""
        where = (method, place.board.scenario_id)
        entry = self.content.entries.get((*where, place.metric.name))
        if entry is None:
            return Cell(
                NOTHING, letter=self._letters().get(self.content.reasons.get(where, ""), "")
            )
        unit = place.metric.unit
        return Cell(_written(entry.value, unit), self._spread(entry, unit), entry.best, entry.tied)

    def notes(self, best: str, tied: str) -> list[str]:
        """Return the footnotes; `best` and `tied` say how these are marked."""
        content = self.content
        entries = content.entries.values()
        said = [f"{_capital(m.title)}: {m.meaning}." for m in content.metrics]
        if any(board.stage != PERSONAL for board in content.boards):
            said.append(GLOBAL_HEADLINE)
        if self.spread != "none" and any(entry.std is not None for entry in entries):
            said.append(
                "±: standard deviation over seeds."
                if self.spread == "std"
                else "In brackets: 95 % t interval over seeds, of each number alone."
            )
        said.append(f"{self._seeds()}. {_capital(best)}: best mean of a column.")
        if any(entry.tied for entry in entries):
            said.append(
                f"{_capital(tied)}: not told apart from the best by the paired test over seeds "
                f"(corrected by Holm for all pairs of a column, p at least {SIGNIFICANCE:g}), "
                "which is not the same as equal."
            )
        said += self._without_verdict()
        said += [f"{letter}: not ranked: {reason}." for reason, letter in self._letters().items()]
        cells = [self.cell(m, p) for m in content.methods for p in self.places()]
        if any(cell.mean == NOTHING and not cell.letter for cell in cells):
            compared = any(metric.name in AGAINST_BASELINE for metric in content.metrics)
            own = f", or it is {BASELINE} itself" if compared else ""
            said.append(f"{NOTHING}: no number, as these results have no such runs{own}.")
        return said

    def scenarios(self) -> list[str]:
        """Return each scenario in words, with its title if there are several."""
        boards = self.content.boards
        if len(boards) == 1:
            return [boards[0].words]
        return [f"{self._title(board)}: {board.words}" for board in boards]

    def remarks(self) -> list[str]:
        """Return the notes of the boards, each once, with its scenarios unless all have it."""
        having: dict[str, list[Board]] = {}
        for board in self.content.boards:
            for note in board.notes:
                if note != no_verdict(len(board.seeds)):
                    having.setdefault(note, []).append(board)
        return [self._of(boards) + note for note, boards in having.items()]

    def _title(self, board: Board) -> str:
        """Return a scenario's title, with its number if there are several."""
        return f"{self._number(board)} {board.title}".strip()

    def _number(self, board: Board) -> str:
        boards = self.content.boards
        return f"({1 + boards.index(board)})" if len(boards) > 1 else ""

    def _of(self, boards: Sequence[Board]) -> str:
        """Return the numbers of scenarios before a note; "" if they are all."""
        if len(boards) == len(self.content.boards):
            return ""
        return ", ".join(map(self._number, boards)) + ": "

    def _heading(self, place: Place) -> str:
        """Return a column's head on one line."""
        several = len(self.content.metrics) > 1
        return self._title(place.board) + (f": {place.metric.title}" if several else "")

    def _seeds(self) -> str:
        by_number: dict[int, list[Board]] = {}
        for board in self.content.boards:
            by_number.setdefault(len(board.seeds), []).append(board)
        said = [
            self._of(boards) + (f"means over {number} seeds" if number > 1 else "one seed")
            for number, boards in by_number.items()
        ]
        return _capital("; ".join(said))

    def _without_verdict(self) -> list[str]:
        return [
            f"{self._of(boards)}{seeds} seed{'' if seeds == 1 else 's'}: no verdict, which needs "
            f"{FEWEST_SEEDS}, so the best is not told apart from any other."
            for seeds, boards in without_verdict(self.content).items()
        ]

    def _letters(self) -> dict[str, str]:
        """Give each reason without a number a letter."""
        reasons = dict.fromkeys(self.content.reasons.values())
        return {reason: _letter(i) for i, reason in enumerate(reasons)}

    def _spread(self, entry: Entry, unit: Unit) -> str:
        if self.spread == "none" or entry.std is None or entry.low is None or entry.high is None:
            return ""
        if self.spread == "std":
            return f"± {_written(entry.std, unit, sign=False)}"
        return f"[{_written(entry.low, unit)}, {_written(entry.high, unit)}]"

    def parted_by(self, room: int, widths: Mapping[int, int] | None = None) -> list[list[Place]]:
        """Part the columns so that the sum of their widths (1 each if None) is within `room`.

        The metrics of a scenario stay together if they have room.
        """
        metrics, used = len(self.content.metrics), 0
        parts: list[list[Place]] = [[]]
        places = self.places()
        size = [1 if widths is None else widths[i] for i in range(len(places))]
        for i, place in enumerate(places):
            group = sum(size[i : i + metrics]) if i % metrics == 0 else size[i]
            wanted = group if group <= room else size[i]
            if parts[-1] and used + wanted > room:
                parts.append([])
                used = 0
            parts[-1].append(place)
            used += size[i]
        return parts

    def _parted(self, width: int) -> list[list[Place]]:
        longest = max(cell_len(escape.plain(method)) for method in self.content.methods)
        widths = {i: self.width(place) + 2 for i, place in enumerate(self.places())}
        return self.parted_by(max(width - min(max(longest, 12), 24), 1), widths)

    def width(self, place: Place) -> int:
        """Return the width of a column in characters."""
        cells = (_text(self.cell(method, place)) for method in self.content.methods)
        return max(map(cell_len, (*self.head(place), *cells)))

    def _drawn(self, places: Sequence[Place]) -> Table:
        made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        made.add_column(Text("method"), vertical="bottom", overflow="fold", min_width=12)
        for place in places:
            head = Text("\n".join(map(escape.plain, self.head(place))))
            made.add_column(head, justify="right", vertical="bottom", no_wrap=True)
        for method in self.content.methods:
            cells = [self.cell(method, place) for place in places]
            made.add_row(
                Text(escape.plain(method)),
                *(Text(_text(cell), style="bold" if cell.best else "") for cell in cells),
            )
        return made


def _folded(text: str, between: str) -> Iterator[str]:
    """Yield the parts of a text, each in short lines that end at spaces, brackets and commas."""
    for part in text.split(between):
        joined = re.sub(r"(?<=\w\()|(?<=,)(?=\S)", f" {_GLUE}", part)
        for line in textwrap.wrap(joined if len(part) > _HEAD else part, _HEAD):
            yield line.replace(f" {_GLUE}", "").replace(_GLUE, "")


def _written(value: float, unit: Unit, *, sign: bool = True) -> str:
    match unit:
        case "percent":
            return percent(value)
        case "points":
            return percent(value, sign=sign)
        case "tenths of percent":
            return percent(value, digits=1)
        case "three digits":
            return f"{value:.3f}".replace("-", "−")
    return four_digits(value)


def _letter(number: int) -> str:
    """Return a, b, ..., z, aa, ab, ... of 0, 1, ..."""
    before, last = divmod(number, 26)
    return (_letter(before - 1) if before else "") + chr(ord("a") + last)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _text(cell: Cell) -> str:
    mark = f" {BEST}" if cell.best else f" {TIED}" if cell.tied else ""
    letter = f" {cell.letter}" if cell.letter else ""
    return f"{cell.mean} {cell.spread}".rstrip() + mark + letter


def _markdown(cell: Cell) -> str:
    mean = escape.markdown(cell.mean)
    mean = f"**{mean}**" if cell.best else f"<ins>{mean}</ins>" if cell.tied else mean
    letter = f"<sup>{cell.letter}</sup>" if cell.letter else ""
    return f"{mean} {escape.markdown(cell.spread)}".rstrip() + letter


def _html(text: str) -> str:
    from html import escape as escaped

    return escaped(escape.plain(text))
