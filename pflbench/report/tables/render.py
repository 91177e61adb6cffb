"""Leaderboards as people read them: terminal, text, Markdown, CSV, LaTeX."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pflbench.analysis.board import Board, Row
from pflbench.analysis.marks import legend_of_marks
from pflbench.analysis.protocol import EPSILON_LEGEND, TOGETHER
from pflbench.errors import UnknownNameError
from pflbench.report.tables import escape
from pflbench.report.tables.columns import COLUMN_SETS, VIEWS, Column, ColumnSet, View

Format = Literal["text", "markdown", "csv", "latex"]
FORMATS: tuple[Format, ...] = get_args(Format)
Legend = Literal["each", "once", "brief"]
_IN_FULL = "The columns in full: pflbench leaderboard --explain."
_SENTENCES = re.compile(r"(?<=[.])\s+(?=[A-Z])")
_SHORT = 7
_NARROW, _NAME, _BETWEEN = 12, 24, 2
"""Characters of a name's column, in which names are folded: at least, and where there is room;
and between columns."""
_REPEAT = "The command that repeats each row: --format markdown or csv, or pflbench report."


def render(
    boards: Board | Sequence[Board],
    format: Format = "text",
    *,
    columns: ColumnSet = "standard",
    width: int = 120,
    legend: Legend = "each",
) -> str:
    """Write one or several leaderboards as text.

    Parameters
    ----------
    boards
        The boards.
    format
        "text" (as on a terminal, without colour), "markdown", "csv" (one table for all boards,
        every number unrounded, accuracies in [0, 1]) or "latex" (needs the package booktabs).
    columns
        One of `COLUMN_SETS`; "csv" has all of them. "tests" ranks methods over several boards.
    width
        Characters in a line of "text".
    legend
        Of "text" and "markdown": the meaning of the columns below "each" board, or "once" below
        all, or there in its first sentences ("brief"). A LaTeX table has its own in any case.

    Raises
    ------
    UnknownNameError
        The format or the set of columns does not exist.
    """
    view = _view(columns)
    several = [boards] if isinstance(boards, Board) else list(boards)
    match format:
        case "text":
            drawn = (_Drawn(b, view, legend == "each") for b in several)
            parts = (*drawn, *_together(several, view), *_below(several, view, legend))
            return "\n".join(_printed(part, width) for part in parts)
        case "markdown":
            together = [escape.markdown(text) + "\n" for text in view.over_boards(several)]
            title = [f"### {TOGETHER}\n"] if together else []
            written = [_markdown(board, view, legend == "each") for board in several]
            return "\n".join([*written, *title, *together, *_markdown_below(several, view, legend)])
        case "csv":
            return _csv(several)
        case "latex":
            together = [escape.latex(text) + r"\par" for text in view.over_boards(several)]
            return "\n".join([*(_latex(board, view) for board in several), *together])
    raise UnknownNameError("leaderboard format", str(format), FORMATS)


def renderable(
    board: Board, *, legend: bool = True, columns: ColumnSet = "standard"
) -> RenderableType:
    """Return a leaderboard for a rich console; `legend` explains the columns below it."""
    return _Drawn(board, _view(columns), legend)


def renderable_together(
    boards: Sequence[Board], columns: ColumnSet = "standard"
) -> list[RenderableType]:
    """Return a set of columns' texts on several boards together, for a rich console."""
    return _together(boards, _view(columns))


def renderable_legend(
    boards: Sequence[Board], columns: ColumnSet = "standard", *, full: bool
) -> list[RenderableType]:
    """Return the meaning of the columns, once for all boards, for a rich console."""
    return _below(boards, _view(columns), "once" if full else "brief")


def _together(boards: Sequence[Board], view: View) -> list[RenderableType]:
    said = view.over_boards(boards)
    title = [Text(TOGETHER, style="bold")] if said else []
    return [*title, *(Text(escape.plain(text)) for text in said)]


def _view(columns: str) -> View:
    for name in COLUMN_SETS:
        if name == columns:
            return VIEWS[name]
    raise UnknownNameError("set of columns", columns, COLUMN_SETS)


@dataclass(frozen=True)
class _Drawn:
    """A leaderboard on a console: tables are parted, and nothing is cut, where room is short."""

    board: Board
    view: View
    legend: bool

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        board, view = self.board, self.view
        yield Text(escape.plain(board.title), style="bold")
        yield Text(escape.plain(board.words))
        yield Text(view.headline_of(board), style="italic")
        for columns in view.tables(board):
            for part in _parted(board, columns, options.max_width):
                yield Text()
                yield _table(board, part)
        remarks = _remarks(board)
        if remarks:
            yield Text()
        for remark in remarks:
            yield Text(escape.plain(remark), style="yellow")
        if self.legend:
            yield Text()
            for term, meaning in _legend(board, view):
                yield _term(term, meaning)
            if any(row.commands for row in board.rows):
                yield Text(_REPEAT)


def _parted(board: Board, columns: Sequence[Column], room: int) -> list[list[Column]]:
    """Part a table into as few as have room, of about equal widths."""
    widths = {column.header: _width(board, column) for column in columns}
    parts = _filled(columns, widths, room)
    for less in range(1, room):
        narrower = _filled(columns, widths, less)
        if len(narrower) == len(parts):
            return narrower
    return parts


def _filled(columns: Sequence[Column], widths: Mapping[str, int], room: int) -> list[list[Column]]:
    """Fill one part after the other; each starts with the row's name."""
    names = [column for column in columns if column.repeated]
    parts: list[list[Column]] = [[]]
    for column in columns:
        part = parts[-1]
        wanted = sum(widths[c.header] + _BETWEEN for c in (*part, column)) - _BETWEEN
        if wanted > room and not all(c.repeated for c in (*part, column)) and part != names:
            parts.append(part := list(names))
        if column not in part:
            part.append(column)
    return parts


def _width(board: Board, column: Column) -> int:
    """Return the width of a column in characters."""
    lines = _headed(column).split("\n")
    entries = (escape.plain(column.entry(row)) for row in board.rows)
    widest = max(map(cell_len, (*lines, *entries)))
    return min(max(widest, _NARROW), _NAME) if column.left else widest


def _headed(column: Column) -> str:
    """Return a column's header, of two lines if it is long."""
    header = column.header
    return "\n".join(header.rsplit(" ", 1)) if len(header) > _SHORT and " " in header else header


def _table(board: Board, columns: Sequence[Column]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        header = Text(_headed(column))
        if column.left:
            table.add_column(header, vertical="top", overflow="fold", min_width=_NARROW)
        else:
            table.add_column(header, justify="right", vertical="top", no_wrap=True)
    for row in board.rows:
        style = "bold" if row.leads else "dim" if row.measures is None else ""
        table.add_row(*(Text(escape.plain(c.entry(row))) for c in columns), style=style)
    return table


def _remarks(board: Board) -> list[str]:
    unranked = [f"Not ranked: {r.label}: {r.reason}." for r in board.rows if r.measures is None]
    return [*unranked, *board.notes]


def _below(boards: Sequence[Board], view: View, legend: Legend) -> list[RenderableType]:
    """Return the legend below all boards."""
    terms, more = _legend_once(boards, view, legend)
    if not terms:
        return []
    lines = [_term(term, meaning) for term, meaning in terms]
    last = [
        *([Text(_IN_FULL)] if more else []),
        *([Text(_REPEAT)] if any(row.commands for b in boards for row in b.rows) else []),
    ]
    return [Group(*lines, *last)]


def _markdown_below(boards: Sequence[Board], view: View, legend: Legend) -> list[str]:
    terms, more = _legend_once(boards, view, legend)
    if not terms:
        return []
    lines = [f"- **{escape.markdown(t)}**: {escape.markdown(m)}" for t, m in terms]
    return ["### Columns\n", *lines, *([f"\n{escape.markdown(_IN_FULL)}"] if more else []), ""]


def _legend_once(
    boards: Sequence[Board], view: View, legend: Legend
) -> tuple[list[tuple[str, str]], bool]:
    """Return the terms of all boards, each once, and whether something was shortened."""
    if legend == "each":
        return [], False
    full = list(dict.fromkeys(pair for board in boards for pair in _legend(board, view)))
    if legend == "once":
        return full, False
    brief = [(term, _SENTENCES.split(meaning)[0]) for term, meaning in full]
    return brief, brief != full


def _term(term: str, meaning: str) -> Padding:
    return Padding(Text.assemble((f"{term}: ", "bold"), meaning), (0, 0, 0, 2))


def _legend(board: Board, view: View) -> list[tuple[str, str]]:
    private = any(row.spent.epsilon is not None for row in board.rows)
    private_terms = [EPSILON_LEGEND] if private else []
    return [*view.legend, *view.terms(board), *private_terms, *legend_of_marks(board.rows)]


def _printed(part: RenderableType, width: int) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None, legacy_windows=False)
    console.print(part)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _markdown(board: Board, view: View, legend: bool) -> str:
    parts = [
        f"### {escape.markdown(board.title)}",
        escape.markdown(board.words),
        f"*{escape.markdown(view.headline_of(board))}*",
        *(_markdown_table(board, columns) for columns in view.tables(board)),
    ]
    remarks = _remarks(board)
    if remarks:
        parts.append("\n".join(f"- {escape.markdown(remark)}" for remark in remarks))
    if legend:
        terms = _legend(board, view)
        parts.append(
            "\n".join(f"- **{escape.markdown(t)}**: {escape.markdown(m)}" for t, m in terms)
        )
    commands = [_command(row) for row in board.rows if row.commands]
    if commands:
        parts += ["Each row again:", escape.fence(commands)]
    return "\n\n".join(parts) + "\n"


def _markdown_table(board: Board, columns: Sequence[Column]) -> str:
    lines = [
        [escape.markdown(column.header) for column in columns],
        [":---" if column.left else "---:" for column in columns],
        *([escape.markdown(column.entry(row)) for column in columns] for row in board.rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _command(row: Row) -> str:
    """Return the command of a row's first run, and its seeds."""
    seed, command = next(iter(row.commands.items()))
    others = [str(other) for other in row.commands if other != seed]
    return f"{command}  # also with seed {', '.join(others)}" if others else command


def _csv(boards: Sequence[Board]) -> str:
    records = [
        {k: escape.cell(v) if isinstance(v, str) else v for k, v in record.items()}
        for board in boards
        for record in board.records()
    ]
    if not records:
        return ""
    import pandas as pd  # the other formats do without

    # As objects: a whole number stays one in a column in which others are missing.
    text: str = pd.DataFrame(records, dtype=object).to_csv(index=False, lineterminator="\n")
    return text


def _latex(board: Board, view: View) -> str:
    caption = escape.latex(f"{board.title}. {view.headline_of(board)}")
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{caption}}}",
        rf"\label{{tab:{board.scenario_id}}}",
        *(
            escape.latex_comment(f"{row.label}: {_command(row)}")
            for row in board.rows
            if row.commands
        ),
    ]
    for columns in view.tables(board):
        lines += [*_tabular(board, columns), "", r"\medskip"]
    remarks = [board.words, *_remarks(board), *(f"{t}: {m}" for t, m in _legend(board, view))]
    lines += [r"\begin{minipage}{\linewidth}\footnotesize"]
    lines += [escape.latex(remark) + r"\par" for remark in remarks]
    lines += [r"\end{minipage}", r"\end{table}", ""]
    return "\n".join(lines)


def _tabular(board: Board, columns: Sequence[Column]) -> list[str]:
    def line(entries: Sequence[str]) -> str:
        return " & ".join(entries) + r" \\"

    shape = "".join("l" if column.left else "r" for column in columns)
    body: list[str] = []
    for row in board.rows:
        # A thin line separates ranked rows from unranked ones.
        if row.measures is None and body and r"\midrule" not in body:
            body.append(r"\midrule")
        body.append(line([escape.latex(column.entry(row)) for column in columns]))
    return [
        rf"\begin{{tabular}}{{{shape}}}",
        r"\toprule",
        line([escape.latex(column.header) for column in columns]),
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
