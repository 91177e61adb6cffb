"""Methods × scenarios × metrics: the content of a paper's table, from boards."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pflbench.analysis.board import Board, Row
from pflbench.analysis.inference import t_interval
from pflbench.analysis.row_names import installed_defaults, labels
from pflbench.analysis.significance import Verdict, paired_tests
from pflbench.analysis.table_metrics import TableMetric, metrics_named
from pflbench.errors import InputError
from pflbench.results.measures import Floats
from pflbench.schema.scenario import Choice

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Entry:
    """The number of a method on a scenario, in the unit in which runs store it.

    Attributes
    ----------
    value
        Mean over seeds.
    std
        Standard deviation over seeds; None with one seed.
    low, high
        Ends of the 95 % t interval over seeds; None with one seed.
    seeds
        Number of seeds.
    best
        Whether no method of the scenario has a better mean.
    verdict
        Of the paired test against the best: "worse", "not told apart" or "no verdict" ("better"
        cannot be); None for the best itself.
    p
        The corrected p value of the verdict; None without one.
    """

    value: float
    std: float | None
    low: float | None
    high: float | None
    seeds: int
    best: bool
    verdict: Verdict | None
    p: float | None

    @property
    def tied(self) -> bool:
        """Whether by the paired test it is not told apart from the best."""
        return not self.best and self.verdict == "not told apart"


@dataclass(frozen=True)
class ComparisonTable:
    """Methods × scenarios × metrics.

    Attributes
    ----------
    methods
        Labels of the rows, in their order.
    boards
        The scenarios, in the order of the columns.
    metrics
        The metrics of each scenario.
    entries
        By method, scenario id and name of the metric; a cell without a number has none.
    reasons
        Why a method has no number on a scenario, by both.
    """

    methods: tuple[str, ...]
    boards: tuple[Board, ...]
    metrics: tuple[TableMetric, ...]
    entries: Mapping[tuple[str, str, str], Entry]
    reasons: Mapping[tuple[str, str], str]

    def records(self) -> list[dict[str, Any]]:
        """Return a flat record for each number, unrounded, and for each cell without one."""
        return [
            self._record(method, board, metric)
            for board in self.boards
            for metric in self.metrics
            for method in self.methods
        ]

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy frame: a row for each number, with the columns of `--format csv`."""
        import pandas as pd

        return pd.DataFrame(self.records())

    def _record(self, method: str, board: Board, metric: TableMetric) -> dict[str, Any]:
        entry = self.entries.get((method, board.scenario_id, metric.name))
        return {
            "method": method,
            "scenario": board.scenario_id,
            "title": board.title,
            "metric": metric.name,
            **{
                name: getattr(entry, name, None)
                for name in ("value", "std", "low", "high", "seeds", "best")
            },
            "verdict_against_best": getattr(entry, "verdict", None),
            "p_holm": getattr(entry, "p", None),
            "reason": self.reasons.get((method, board.scenario_id), ""),
        }


def comparison_table(
    boards: Sequence[Board],
    metrics: Sequence[str] = ("accuracy",),
    *,
    named: Mapping[str, str] | None = None,
    order: Sequence[str] = (),
) -> ComparisonTable:
    """Arrange boards as methods × scenarios.

    Parameters
    ----------
    boards
        One a scenario, in the order of the columns.
    metrics
        Names of metrics.
    named
        The label of the method that each run, by id, belongs to; None to name rows by their
        parameters. A tuned method is then one row, with each scenario's own settings.
    order
        Labels in the order of the rows; others follow by mean over scenarios, best first.

    Raises
    ------
    InputError
        There is no board or no method with numbers, or a metric does not exist.
    """
    every = [row for board in boards for row in board.rows if row.run_ids]
    if not any(row.measures for row in every):
        raise InputError("A table needs a method with complete runs, and these results have none.")
    chosen = metrics_named(metrics, every)
    if not chosen:
        raise InputError("A table needs a metric: expected at least one, such as accuracy.")
    label_of = _labels(boards) if named is None else _given(boards, named)
    entries: dict[tuple[str, str, str], Entry] = {}
    reasons: dict[tuple[str, str], str] = {}
    for board in boards:
        rows = {label_of[board.scenario_id, row.label]: row for row in board.rows if row.run_ids}
        for label, row in rows.items():
            if row.measures is None:
                reasons[label, board.scenario_id] = row.reason
        for metric in chosen:
            for label, entry in _entries(rows, metric).items():
                entries[label, board.scenario_id, metric.name] = entry
    methods = _in_order(set(label_of.values()), order, boards, chosen[0], entries)
    return ComparisonTable(methods, tuple(boards), chosen, entries, reasons)


@dataclass(frozen=True)
class _Line:
    """A row as the verdicts compare it: [S, 1], higher is better."""

    label: str
    accuracies: Floats | None


@dataclass(frozen=True)
class _Lines:
    rows: Sequence[_Line]


def _entries(rows: Mapping[str, Row], metric: TableMetric) -> dict[str, Entry]:
    """Return the entries of one scenario and metric, with the verdicts against the best."""
    numbers = {
        label: values
        for label, row in rows.items()
        if row.measures is not None
        and (values := metric.of(row)) is not None
        and np.isfinite(values).all()
    }
    if not numbers:
        return {}
    sign = 1.0 if metric.higher_is_better else -1.0
    # As on a board, differences below 1e-12 are rounding.
    means = {label: round(sign * float(values.mean()), 12) for label, values in numbers.items()}
    first = max(means, key=lambda label: means[label])
    lines = [_Line(label, sign * values[:, None]) for label, values in numbers.items()]
    against: dict[str, tuple[Verdict, float]] = {}
    for test in paired_tests(_Lines(lines)):
        if first in (test.first, test.second):
            turned = test if test.second == first else test.turned()
            against[turned.first] = (turned.verdict, turned.p_holm)
    return {
        label: _entry(values, metric, means[label] == means[first], against.get(label))
        for label, values in numbers.items()
    }


def _entry(
    values: Floats, metric: TableMetric, best: bool, against: tuple[Verdict, float] | None
) -> Entry:
    low, high = (float(end) for end in t_interval(values))
    several = len(values) > 1
    verdict, p = against or (None, math.nan)
    return Entry(
        value=float(values.mean()),
        std=float(values.std(ddof=1)) if several else None,
        low=max(low, metric.least) if several else None,
        high=min(high, metric.most) if several else None,
        seeds=len(values),
        best=best,
        verdict=None if best else verdict,
        p=None if best or math.isnan(p) else p,
    )


def _labels(boards: Sequence[Board]) -> dict[tuple[str, str], str]:
    """Name the rows of all boards by scenario and label; equal methods have equal names."""
    rows = [(board.scenario_id, row) for board in boards for row in board.rows if row.run_ids]
    tuned = Counter((where, row.algorithm) for where, row in rows if row.tuned)
    choices: dict[str, Choice] = {}
    keys: dict[tuple[str, str], str] = {}
    found: dict[tuple[str, str], str] = {}
    for where, row in rows:
        # Each scenario has its own tuned settings, and they are one method's.
        if row.tuned and tuned[where, row.algorithm] == 1:
            found[where, row.label] = f"{row.algorithm} (tuned)"
            continue
        choice = Choice(row.algorithm, row.parameters, row.version)
        keys[where, row.label] = key = f"{choice} {choice.version}"
        choices[key] = choice
    names = dict(zip(choices, labels(list(choices.values()), installed_defaults), strict=True))
    return found | {place: names[key] for place, key in keys.items()}


def _given(boards: Sequence[Board], named: Mapping[str, str]) -> dict[tuple[str, str], str]:
    return {
        (board.scenario_id, row.label): named[next(iter(row.run_ids.values()))]
        for board in boards
        for row in board.rows
        if row.run_ids
    }


def _in_order(
    methods: set[str],
    order: Sequence[str],
    boards: Sequence[Board],
    metric: TableMetric,
    entries: Mapping[tuple[str, str, str], Entry],
) -> tuple[str, ...]:
    places = {label: i for i, label in enumerate(order)}

    def place(method: str) -> tuple[int, int, float, str]:
        values = [
            entries[key].value
            for board in boards
            if (key := (method, board.scenario_id, metric.name)) in entries
        ]
        mean = float(np.mean(values)) if values else 0.0
        better = -mean if metric.higher_is_better else mean
        return places.get(method, len(places)), -len(values), round(better, 12), method

    return tuple(sorted(methods, key=place))


def without_verdict(table: ComparisonTable) -> dict[int, list[Board]]:
    """Return the scenarios whose seeds are too few for verdicts, by their number."""
    few: dict[int, list[Board]] = {}
    for board in table.boards:
        found = [e for key, e in table.entries.items() if key[1] == board.scenario_id]
        if any(entry.verdict == "no verdict" for entry in found):
            few.setdefault(found[0].seeds, []).append(board)
    return few


def same_notes(notes: Iterable[tuple[Board, Sequence[str]]]) -> list[str]:
    """Return the notes of several boards, each once, with its boards' titles unless all have it."""
    having: dict[str, list[str]] = {}
    boards = 0
    for board, said in notes:
        boards += 1
        for note in said:
            having.setdefault(note, []).append(board.title)
    return [
        note if len(titles) == boards else f"{'; '.join(titles)}: {note}"
        for note, titles in having.items()
    ]
