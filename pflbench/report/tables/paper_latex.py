"""A table of methods × scenarios as LaTeX with booktabs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from pflbench.report.tables import escape

if TYPE_CHECKING:
    from pflbench.report.tables.paper_table import Cell, PaperTable, Place


_PAGE, _LETTER, _BETWEEN = 345, 5, 12
"""Points: the width of an article's text, of a letter on average, and between columns."""
_MOST_IN_WORDS = 2
"""The scenarios of more are in words only in comments: footnotes would fill the page."""


def latex_table(table: PaperTable) -> str:
    """Return a floating table: tabulars below each other, then the footnotes."""
    content = table.content
    one = len(content.boards) == 1
    label = content.boards[0].scenario_id if one else "methods-by-scenarios"
    metrics = ", ".join(metric.title for metric in content.metrics)
    caption = f"Methods by scenarios: {metrics}."
    notes, remarks = table.notes("bold", "underlined"), table.remarks()
    if len(content.boards) <= _MOST_IN_WORDS:
        notes += table.scenarios()
    else:
        remarks = [*table.scenarios(), *remarks]
    lines = [
        r"% needs \usepackage{booktabs}",
        "% Remarks, for the text: pflbench methods-section writes them as a paragraph.",
        *(escape.latex_comment(remark) for remark in remarks),
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape.latex(caption)}}}",
        rf"\label{{tab:{label}}}",
        r"\smallskip",
    ]
    for places in _parted(table):
        lines += [*_tabular(table, places), "", r"\medskip"]
    lines.append(r"\begin{minipage}{\linewidth}\footnotesize")
    lines += [escape.latex(note) + r"\par" for note in notes]
    lines += [r"\end{minipage}", r"\end{table}", ""]
    return "\n".join(lines)


def _parted(table: PaperTable) -> list[list[Place]]:
    if table.across is not None:
        return table.parted_by(table.across)
    longest = max(len(method) for method in table.content.methods)
    widths = {i: table.width(p) * _LETTER + _BETWEEN for i, p in enumerate(table.places())}
    return table.parted_by(max(_PAGE - longest * _LETTER - _BETWEEN, 1), widths)


def _tabular(table: PaperTable, places: Sequence[Place]) -> list[str]:
    return [
        rf"\begin{{tabular}}{{l{'r' * len(places)}}}",
        r"\toprule",
        *_head(table, places),
        r"\midrule",
        *(
            _line([escape.latex(method), *(_cell(table.cell(method, place)) for place in places)])
            for method in table.content.methods
        ),
        r"\bottomrule",
        r"\end{tabular}",
    ]


def _head(table: PaperTable, places: Sequence[Place]) -> list[str]:
    if len(table.content.metrics) == 1:
        return [_line(["method", *(_stacked(table.head(place), "r") for place in places)])]
    over, rules, column = [""], [], 2
    for _, group in groupby(places, key=lambda place: place.board.scenario_id):
        several = list(group)
        title = _stacked(table.head(several[0])[:-1], "c")
        over.append(rf"\multicolumn{{{len(several)}}}{{c}}{{{title}}}")
        rules.append(rf"\cmidrule(lr){{{column}-{column + len(several) - 1}}}")
        column += len(several)
    own = [escape.latex(place.metric.title) for place in places]
    return [_line(over), " ".join(rules), _line(["method", *own])]


def _stacked(lines: Sequence[str], side: str) -> str:
    """Return lines on top of each other, whose last is on the line of the row."""
    if len(lines) == 1:
        return escape.latex(lines[0])
    inner = r" \\ ".join(f"{{{escape.latex(line)}}}" for line in lines)
    return rf"\begin{{tabular}}[b]{{@{{}}{side}@{{}}}}{inner}\end{{tabular}}"


def _line(entries: Sequence[str]) -> str:
    return " & ".join(entries) + r" \\"


def _cell(cell: Cell) -> str:
    mean = escape.latex(cell.mean)
    mean = rf"\textbf{{{mean}}}" if cell.best else rf"\underline{{{mean}}}" if cell.tied else mean
    letter = rf"\textsuperscript{{{cell.letter}}}" if cell.letter else ""
    return f"{mean} {escape.latex(cell.spread)}".rstrip() + letter
