"""From boards to tables of entries with sort keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pflbench.analysis import Board, Row
from pflbench.analysis.against import Against
from pflbench.analysis.marks import EDGE_MARK, hint, legend_of_marks
from pflbench.analysis.protocol import BASELINE, EPSILON_LEGEND
from pflbench.analysis.row_names import Defaults
from pflbench.report.html.page_record import Entry, Group, Head, Line, Sheet, Table, Whisker
from pflbench.report.tables.columns import (
    ACCURACY,
    AGAINST_BASELINE,
    COSTS,
    METHOD,
    NOTHING,
    RANK,
    SELECTION,
    VIEWS,
    Column,
    further_columns,
)
from pflbench.report.tables.entries import accuracy, standing
from pflbench.results import StoredRun
from pflbench.schema.parameters import Scalar

_GROUPS: Final = (
    ("test accuracy (%)", ACCURACY),
    (f"against {BASELINE}", AGAINST_BASELINE),
    ("selection", SELECTION),
    ("whole runs", COSTS),
)

_SHEETS: Final = {
    "tests": "Paired tests",
    "transfer": "Which clients a method hurts",
    "calibration": "Calibration",
    "new-clients": "New clients",
    "relatedness": "Relatedness",
    "cost": "Cost",
}
"""Further sets of columns, if boards have them, in display order."""

_ASKED: Final = ("seconds over a network", "reached")
"""Terms of columns of `leaderboard --network` and `--target`."""

_NUMBER = re.compile(r"[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")

Numbers = Mapping[str, int]
"""The number of a method in the legend, by the label of its row."""


def sort_key(text: str) -> float | None:
    """Return the first number of an entry, None if it has none."""
    found = _NUMBER.search(text.replace("−", "-"))
    return float(found.group().replace(",", "")) if found else None


def leaderboard(board: Board, numbers: Numbers) -> Table:
    """Make the one table of a board that has all of its usual columns."""
    columns: list[Column] = []
    for table in VIEWS["standard"].tables(board):
        columns += [c for c in table if c.header not in {known.header for known in columns}]
    meanings = dict((*VIEWS["standard"].legend, *VIEWS["standard"].terms(board)))
    lines = []
    ends, tones = _scale(board), _tones(board)
    for row in board.rows:
        entries = [_entry(row, column, ends, tones) for column in columns]
        if row.measures is None:  # rank, method and seeds; then the reason
            entries = entries[:3]
        lines.append(_line(row, entries, numbers))
    groups = (*_GROUPS, ("metrics of plugins", further_columns(board)))
    return Table(_heads(columns, lines, meanings), tuple(lines), _groups(columns, groups))


def _groups(
    columns: Sequence[Column], members_of: Iterable[tuple[str, Sequence[Column]]]
) -> tuple[Group, ...]:
    titles = {c.header: title for title, members in members_of for c in members}
    groups: list[Group] = []
    for column in columns:
        last = groups[-1].title if groups else ""
        title = titles.get(column.header, last)
        if column in (RANK, METHOD):
            title = ""
        if groups and title == last:
            groups[-1] = Group(title, groups[-1].span + 1)
        else:
            groups.append(Group(title, 1))
    return tuple(groups)


def _scale(board: Board) -> tuple[float, float]:
    """Return the ends of the scale that all intervals of a board are drawn on."""
    known = [row.measures for row in board.rows if row.measures is not None]
    ends = [end for m in known for end in (m.low, m.high) if end is not None]
    return min(ends, default=0), max(ends, default=1)


def _tones(board: Board) -> dict[str, str]:
    """Return by label the tone of rows that the verdict calls better or worse than the baseline.

    An interval that excludes 0 is not enough: of twenty equal rows one has such an interval.
    """
    against, tones = Against(board), {"better": "up", "worse": "down"}
    found = {row.label: against.baseline(row) for row in board.rows}
    return {label: tones.get(test.verdict, "") for label, test in found.items() if test}


def _entry(row: Row, column: Column, ends: tuple[float, float], tones: Mapping[str, str]) -> Entry:
    text = column.entry(row)
    whisker, m = None, row.measures
    if (
        m is not None
        and column is ACCURACY[4]
        and m.low is not None
        and m.high is not None
        and ends[1] > ends[0]
    ):
        low, high, middle = (
            100 * (value - ends[0]) / (ends[1] - ends[0])
            for value in (m.low, m.high, m.test_accuracy)
        )
        whisker = Whisker(low, high, middle)
    tone = tones.get(row.label, "") if column is AGAINST_BASELINE[0] else ""
    return Entry(text, sort_key(text), tone, whisker, hint(row) if column is METHOD else "")


def _line(row: Row, entries: Sequence[Entry], numbers: Numbers) -> Line:
    return Line(tuple(entries), numbers.get(row.label), row.leads, row.reason)


def _heads(
    columns: Sequence[Column], lines: Sequence[Line], meanings: Mapping[str, str]
) -> tuple[Head, ...]:
    """Return heads with the meanings that the legend gives them."""
    by_term = {term: words for terms, words in meanings.items() for term in terms.split(", ")}
    by_term |= meanings
    heads = []
    for i, column in enumerate(columns):
        term = column.header
        short = term.removesuffix(" up").removesuffix(" down")  # MB up, under the term MB
        numeric = not column.left and any(
            line.entries[i].key is not None for line in lines if i < len(line.entries)
        )
        meaning = by_term.get(term, by_term.get(short, ""))
        heads.append(Head(term, meaning, column.left, numeric=numeric))
    return tuple(heads)


def sheets(board: Board, numbers: Numbers) -> tuple[Sheet, ...]:
    """Make the further tables that a board has something for."""
    made = []
    for name, title in _SHEETS.items():
        view = next((view for known, view in VIEWS.items() if known == name), None)
        if view is None:
            continue
        meanings = dict(view.legend)
        tables = []
        for columns in view.tables(board):
            lines = tuple(
                _line(
                    row,
                    [Entry(text, sort_key(text)) for text in (c.entry(row) for c in columns)],
                    numbers,
                )
                for row in board.rows
                if row.measures is not None
            )
            if _tells(lines, columns):
                tables.append(Table(_heads(columns, lines, meanings), lines))
        if tables:
            made.append(Sheet(title, view.headline_of(board), tuple(tables)))
    return tuple(made)


def _tells(lines: Sequence[Line], columns: Sequence[Column]) -> bool:
    """Whether a table says something that the leaderboard does not."""
    usual = {c.header for table in (ACCURACY, AGAINST_BASELINE[:1], COSTS) for c in table}
    own = [i for i, c in enumerate(columns) if c.header not in usual and not c.left]
    return any(line.entries[i].text != NOTHING for line in lines for i in own)


def glossary(boards: Sequence[Board], shown: Iterable[str]) -> dict[str, str]:
    """List each term once, without the terms of options that a report does not have.

    Parameters
    ----------
    boards
        All of the page.
    shown
        The titles of the sheets that the page has.
    """
    titles = set(shown)
    terms: dict[str, str] = {}
    for name, view in VIEWS.items():
        if name == "standard" or _SHEETS.get(name) in titles:
            for term, meaning in view.legend:
                if term not in _ASKED:
                    terms.setdefault(term, meaning)
    for board in boards:
        terms |= {term: said for term, said in VIEWS["standard"].terms(board) if term not in terms}
    terms |= legend_of_marks(row for board in boards for row in board.rows)
    if any(row.spent.epsilon is not None for board in boards for row in board.rows):
        terms.setdefault(*EPSILON_LEGEND)
    return terms


def parameters(board: Board, defaults: Defaults, numbers: Numbers) -> Table | None:
    """List the parameters that are off their defaults, or whose defaults are unknown.

    If rows were tuned, the trials of each row's search are listed, and so are tuned rows that
    kept their defaults.
    """
    searched = any(row.tuned for row in board.rows)
    lines = []
    for row in board.rows:
        usual = defaults(row.algorithm)
        ends = {edge.name for edge in row.ends}
        told = [
            (name, f"{_scalar(value)} {EDGE_MARK if name in ends else ''}".rstrip(), default)
            for name, value in sorted(row.parameters.items())
            if (default := _default(board, usual, name, value)) is not None
        ]
        if row.tuned and not told:
            told = [("all", "defaults", "the same")]
        for one in told:
            entries = [row.label, *one]
            if searched:
                trials = f"{row.tuned:,} trial{'' if row.tuned == 1 else 's'}"
                entries.append(trials if row.tuned else "not tuned")
            lines.append(Line(tuple(map(Entry, entries)), numbers.get(row.label)))
    if not lines:
        return None
    titles = ["method", "parameter", "value", "default", *(["found in"] if searched else [])]
    return Table(tuple(Head(text, left=True) for text in titles), tuple(lines), sortable=False)


def _default(
    board: Board, usual: Mapping[str, Scalar] | None, name: str, value: Scalar
) -> str | None:
    """Say a parameter's default; None if the value is the default."""
    if name == "local_lr":  # of every method, and in no row that has the scenario's
        return f"{board.scenario.get('lr')} (the scenario's)"
    if usual is None or name not in usual:
        return "not known here"
    return None if usual[name] == value else _scalar(usual[name])


def _scalar(value: object) -> str:
    return "none" if value is None else str(value).lower() if value in (True, False) else str(value)


def failures(board: Board, runs: Mapping[str, StoredRun], numbers: Numbers) -> Table | None:
    """List the runs that are not complete, with the reason if known."""
    lines = []
    for row in board.rows:
        for seed, run_id in row.run_ids.items():
            run = runs[run_id]
            if run.status == "complete":
                continue
            where = ", ".join(
                f"{key} {run.failure[key]}"
                for key in ("round", "client", "step")
                if run.failure.get(key) is not None
            )
            why = ": ".join(str(run.failure[k]) for k in ("error", "message") if k in run.failure)
            why = run.damage_in_short or why
            told = (row.label, str(seed), run_id, run.status, where or NOTHING, why or NOTHING)
            lines.append(Line(tuple(map(Entry, told)), numbers.get(row.label)))
    if not lines:
        return None
    titles = ("method", "seed", "run", "status", "where", "reason")
    heads = tuple(Head(text, left=True) for text in titles)
    return Table(heads, tuple(lines), sortable=False)


def overview(boards: Sequence[Board]) -> Table | None:
    """Show every method on every scenario; None with a single scenario.

    Of several settings of a method on one board, the one with the best validation accuracy is
    shown.
    """
    if len(boards) < 2:
        return None
    names = {row.algorithm for board in boards for row in board.rows}
    best = {name: _best(boards, name) for name in names}
    ordered = sorted(names, key=lambda name: (-best[name][0], best[name][1], name))
    lines = []
    for name in ordered:
        entries = [Entry(name)]
        for board in boards:
            row = _shown(board, name)
            if row is None:
                entries.append(Entry(NOTHING))
            elif row.measures is None:
                entries.append(Entry("not ranked"))
            else:
                text = accuracy(row.measures)
                if row.rank is not None:
                    text += f" ({standing(row)})"
                entries.append(Entry(text, sort_key(text), "best" if row.leads else ""))
        lines.append(Line(tuple(entries)))
    heads = (
        Head("method", left=True),
        *(Head(_titled(b), section=b.scenario_id, numeric=True) for b in boards),
    )
    return Table(heads, tuple(lines))


def _titled(board: Board) -> str:
    """Return a board's title with the number of seeds that its means are over."""
    seeds = len(board.seeds)
    return f"{board.title} · {seeds} seed{'' if seeds == 1 else 's'}"


def _shown(board: Board, name: str) -> Row | None:
    rows = [row for row in board.rows if row.algorithm == name]
    chosen = [row for row in rows if row.chosen]
    ranked = [row for row in rows if row.measures is not None]
    return next(iter([*chosen, *ranked, *rows]), None)


def _best(boards: Sequence[Board], name: str) -> tuple[int, float]:
    """Return on how many boards a method has numbers, and its mean place in their order."""
    places = [
        [row.label for row in board.rows].index(shown.label)
        for board in boards
        if (shown := _shown(board, name)) is not None and shown.measures is not None
    ]
    return len(places), sum(places) / len(places) if places else 0.0
