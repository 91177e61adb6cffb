"""Sets of columns of a printed leaderboard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pflbench.analysis.board import Board, Row
from pflbench.analysis.further_metrics import meaning, names
from pflbench.analysis.gradients import differences
from pflbench.analysis.protocol import (
    BASELINE,
    CALIBRATION_HEADLINE,
    CALIBRATION_LEGEND,
    COST_HEADLINE,
    COST_LEGEND,
    GLOBAL_HEADLINE,
    HEADLINE,
    LEGEND,
    NEW_CLIENTS_HEADLINE,
    NEW_CLIENTS_LEGEND,
    RELATEDNESS_HEADLINE,
    RELATEDNESS_LEGEND,
    TESTS_HEADLINE,
    TESTS_LEGEND,
    TRANSFER_HEADLINE,
    TRANSFER_LEGEND,
)
from pflbench.analysis.transfer import Comparison
from pflbench.report.tables.cost_columns import cost, protected
from pflbench.report.tables.entries import (
    METHOD,
    NO_BASELINE,
    NOTHING,
    RANK,
    SEEDS,
    Column,
    accuracy,
    against_baseline,
    counted,
    four_digits,
    gain,
    gain_spread,
    hurt,
    interval,
    mean,
    measure,
    mega,
    number,
    percent,
    rounds,
    seconds,
    share,
    spread,
    steps,
    tenths,
)
from pflbench.report.tables.verdicts import calibration, ranking, tests
from pflbench.results.measures import PERSONAL
from pflbench.schema.new_clients import shots_in_words

__all__ = [
    "ACCURACY",
    "AGAINST_BASELINE",
    "COLUMN_SETS",
    "COSTS",
    "METHOD",
    "NOTHING",
    "NO_BASELINE",
    "RANK",
    "SELECTION",
    "TABLES",
    "VIEWS",
    "Column",
    "ColumnSet",
    "View",
]

ACCURACY = (
    RANK,
    METHOD,
    SEEDS,
    Column("test accuracy", measure(accuracy)),
    Column("95 % t interval", measure(lambda m: interval(m.low, m.high))),
    Column("worst tenth", mean("worst_tenth")),
)
AGAINST_BASELINE = (
    Column(f"gain over {BASELINE}", against_baseline(measure(gain))),
    Column("hurt %", against_baseline(hurt)),
)
SELECTION = (
    Column("last round", mean("last_accuracy")),
    Column("best test", mean("best_accuracy")),
    Column("optimism", mean("optimism")),
    Column("selected round", mean("selected_round", rounds)),
)
COSTS = (
    Column("gradients", steps),
    Column(f"× {BASELINE}", lambda row: number(row.budget, 2)),
    Column("MB up", counted("bytes_up", mega)),
    Column("MB down", counted("bytes_down", mega)),
    Column("seconds", mean("seconds", seconds)),
)

TABLES = ((*ACCURACY, *AGAINST_BASELINE), (METHOD, SEEDS, *SELECTION), (METHOD, SEEDS, *COSTS))
"""The comparison; then the effect of selection; then the cost of whole runs."""

Tables = Sequence[Sequence[Column]]


@dataclass(frozen=True)
class View:
    """The printed columns of a board, and their explanations.

    Attributes
    ----------
    headline, legend
        The definition of the numbers; the meaning of the columns, in their order.
    tables
        The tables of a board.
    over_boards
        Texts on several boards together, one paragraph each.
    caveat
        An addition to the headline of a board, or "".
    terms
        Additions to the legend of a board.
    """

    headline: str
    legend: tuple[tuple[str, str], ...]
    tables: Callable[[Board], Tables]
    over_boards: Callable[[Sequence[Board]], Sequence[str]] = lambda _: ()
    caveat: Callable[[Board], str] = lambda _: ""
    terms: Callable[[Board], Sequence[tuple[str, str]]] = lambda _: ()

    def headline_of(self, board: Board) -> str:
        """Return the headline, with its addition for this board."""
        by = "" if board.score is None else board.score.words
        of = "" if board.stage == PERSONAL else GLOBAL_HEADLINE
        return " ".join(part for part in (self.headline, of, self.caveat(board), by) if part)


_GAINED = (
    SEEDS,
    Column("test accuracy", measure(accuracy)),
    Column(f"gain over {BASELINE}", against_baseline(measure(gain))),
)
_HURT = (
    Column("hurt %", against_baseline(mean("hurt", tenths))),
    Column("beyond error %", against_baseline(mean("hurt_beyond_error", tenths))),
    Column("loss of hurt", against_baseline(measure(lambda m: percent(m.loss_of_hurt)))),
    Column("worst client", against_baseline(measure(lambda m: percent(m.worst_gain, sign=True)))),
)


_RELATED = (
    Column("rank correlation", mean("relatedness_rank_correlation", share)),
    Column("precision %", mean("relatedness_precision", tenths)),
    Column("same group %", mean("relatedness_same_group", tenths)),
)


def _group_table(board: Board, group: int) -> Sequence[Column]:
    """Return the columns of one group of clients."""

    def entry(show: Callable[[Comparison], str], *, gains: bool = True) -> Callable[[Row], str]:
        return lambda row: (
            NOTHING
            if group not in row.groups or (gains and row.baseline)
            else show(row.groups[group])
        )

    def clients(found: Comparison) -> str:
        each = found.clients / max(len(board.seeds), 1)
        return f"{each:,.0f}" if each == round(each) else f"{each:,.1f}"

    return (
        Column(f"group {group}", METHOD.entry, left=True, repeated=True),
        Column("clients", entry(clients, gains=False)),
        SEEDS,
        Column("test accuracy", entry(lambda c: spread(c.accuracy, c.accuracy_std), gains=False)),
        Column(f"gain over {BASELINE}", entry(lambda c: gain_spread(c.gain, c.gain_std))),
        Column("hurt %", entry(lambda c: spread(c.hurt, c.hurt_std, tenths))),
        Column(
            "beyond error %",
            entry(lambda c: spread(c.hurt_beyond_error, c.hurt_beyond_error_std, tenths)),
        ),
        Column("loss of hurt", entry(lambda c: percent(c.loss_of_hurt))),
        Column("worst client", entry(lambda c: percent(c.worst_gain, sign=True))),
    )


def _group_tables(board: Board) -> list[Sequence[Column]]:
    groups = sorted({group for row in board.rows for group in row.groups})
    return [_group_table(board, group) for group in groups]


def _budgets(board: Board) -> str:
    """Say whether all rows had the baseline's budget."""
    known = [row for row in board.rows if row.budget is not None]
    if len(known) < 2:
        return ""
    said = differences(known)
    return f"Budgets differ: {said}." if said else f"All rows have the budget of {BASELINE}."


def _new_clients(board: Board) -> list[Sequence[Column]]:
    """Return the columns of new clients, for the shots that the scenario has."""
    shots = list(dict.fromkeys(s for row in board.rows for s in row.onboarded.accuracy))

    def entry(s: str) -> Callable[[Row], str]:
        return lambda row: spread(row.onboarded.accuracy.get(s), row.onboarded.deviations.get(s))

    def participants(row: Row) -> str:
        return spread(row.onboarded.participants, row.onboarded.deviations.get("participants"))

    def gap(row: Row) -> str:
        return gain_spread(row.onboarded.gap, row.onboarded.deviations.get("gap"))

    return [
        (
            METHOD,
            SEEDS,
            Column("participants", participants),
            *(Column(shots_in_words(s), entry(s)) for s in shots),
            Column("gap", gap),
        )
    ]


_TAKEN = frozenset(column.header for table in TABLES for column in table)


def further_columns(board: Board) -> list[Column]:
    """Return the columns of metrics of plugins."""

    def entry(name: str) -> Callable[[Row], str]:
        def show(row: Row) -> str:
            found = row.metrics.get(name)
            return NOTHING if found is None else spread(found.mean, found.std, four_digits)

        return show

    def ends(name: str) -> Callable[[Row], str]:
        def show(row: Row) -> str:
            found = row.metrics.get(name)
            if found is None or found.low is None:
                return NOTHING
            return f"{four_digits(found.low)} … {four_digits(found.high)}"

        return show

    return [
        column
        for name in names(board.rows)
        for column in (
            Column(_header(name), entry(name)),
            Column(f"{_header(name)}, 95 % t interval", ends(name)),
        )
    ]


def _header(metric: str) -> str:
    return f"{metric} (metric)" if metric in _TAKEN else metric


def further_tables(board: Board) -> list[Sequence[Column]]:
    """Return the table of metrics of plugins, if there are any."""
    columns = further_columns(board)
    return [(METHOD, SEEDS, *columns)] if columns else []


def further_terms(board: Board) -> list[tuple[str, str]]:
    """Describe the metrics of plugins."""
    return [
        (
            _header(name),
            f"{meaning(name)}. Test split: mean over clients at the selected round, then over "
            "seeds. A dash: a run or a client has none.",
        )
        for name in names(board.rows)
    ]


ColumnSet = Literal[
    "standard", "tests", "transfer", "calibration", "new-clients", "relatedness", "cost"
]
COLUMN_SETS: tuple[ColumnSet, ...] = get_args(ColumnSet)

VIEWS: dict[ColumnSet, View] = {
    "standard": View(
        HEADLINE,
        LEGEND,
        lambda board: (*TABLES[:-1], (*TABLES[-1], *protected(board)), *further_tables(board)),
        terms=further_terms,
    ),
    "tests": View(TESTS_HEADLINE, TESTS_LEGEND, tests, ranking),
    "calibration": View(CALIBRATION_HEADLINE, CALIBRATION_LEGEND, calibration),
    "cost": View(COST_HEADLINE, COST_LEGEND, cost),
    "transfer": View(
        TRANSFER_HEADLINE,
        TRANSFER_LEGEND,
        lambda board: [(METHOD, *_GAINED, *_HURT), *_group_tables(board)],
        caveat=_budgets,
    ),
    "new-clients": View(NEW_CLIENTS_HEADLINE, NEW_CLIENTS_LEGEND, _new_clients),
    "relatedness": View(
        RELATEDNESS_HEADLINE, RELATEDNESS_LEGEND, lambda _: [(METHOD, *_GAINED, *_RELATED)]
    ),
}
