"""What a printed leaderboard shows of a row: sets of columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pflbench.leaderboard.board import Board, Row
from pflbench.leaderboard.cost_columns import cost, narrow_cost, protected
from pflbench.leaderboard.entries import (
    METHOD,
    NO_BASELINE,
    NOTHING,
    RANK,
    SEEDS,
    Column,
    accuracy,
    against_baseline,
    gain,
    gain_spread,
    hurt,
    interval,
    mean,
    measure,
    mega,
    number,
    percent,
    selected,
    share,
    spread,
    steps,
)
from pflbench.leaderboard.gradients import differences
from pflbench.leaderboard.protocol import (
    BASELINE,
    CALIBRATION_HEADLINE,
    CALIBRATION_LEGEND,
    COST_HEADLINE,
    COST_LEGEND,
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
from pflbench.leaderboard.transfer import Comparison
from pflbench.leaderboard.verdicts import calibration, narrow_tests, ranking, tests
from pflbench.newcomers import shots_in_words

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
]  # fmt: skip

ACCURACY = (
    RANK,
    METHOD,
    SEEDS,
    Column("test accuracy", measure(accuracy)),
    Column("95 % t interval", measure(lambda m: interval(m.low, m.high))),
    Column("worst tenth", mean("worst_tenth")),
)
AGAINST_BASELINE = (
    Column(f"gain over {BASELINE}", against_baseline(gain)),
    Column("hurt %", against_baseline(hurt)),
)
SELECTION = (
    Column("last round", mean("last_accuracy")),
    Column("best test", mean("best_accuracy")),
    Column("optimism", measure(lambda m: percent(m.optimism))),
)
COSTS = (
    Column("selected round", measure(selected)),
    Column("gradients", measure(steps)),
    Column(f"× {BASELINE}", lambda row: number(row.budget, 2)),
    Column("MB up", measure(lambda m: mega(m.bytes_up))),
    Column("MB down", measure(lambda m: mega(m.bytes_down))),
    Column("seconds", measure(lambda m: number(m.seconds, 1))),
)

TABLES = ((*ACCURACY, *AGAINST_BASELINE), (METHOD, SEEDS, *SELECTION, *COSTS))
"""The comparison; then what selection did and what it cost."""

NARROW_TABLES = (
    ACCURACY[:-1],
    (METHOD, SEEDS, *AGAINST_BASELINE),
    (METHOD, SEEDS, ACCURACY[-1], SELECTION[0]),
    (METHOD, SEEDS, *SELECTION[1:]),
    (METHOD, SEEDS, *COSTS),
)
"""The same columns for less room."""

Tables = Sequence[Sequence[Column]]


@dataclass(frozen=True)
class View:
    """Which columns of a board are printed, and what is said of them.

    Attributes
    ----------
    headline, legend
        What the numbers are; what the columns say, in the order in which they are met.
    tables, narrow_tables
        The tables of a board, and the same columns for less room.
    over_boards
        What is said of several boards together, a paragraph each.
    caveat
        What the headline must add on a board, "" if nothing.
    """

    headline: str
    legend: tuple[tuple[str, str], ...]
    tables: Callable[[Board], Tables]
    narrow_tables: Callable[[Board], Tables]
    over_boards: Callable[[Sequence[Board]], Sequence[str]] = lambda _: ()
    caveat: Callable[[Board], str] = lambda _: ""

    def headline_of(self, board: Board) -> str:
        """Return the headline, with what it must say of this board besides."""
        return " ".join(part for part in (self.headline, self.caveat(board)) if part)


_GAINED = (
    SEEDS,
    Column("test accuracy", measure(accuracy)),
    Column(f"gain over {BASELINE}", against_baseline(gain)),
)
_HURT = (
    Column("hurt %", against_baseline(lambda m: percent(m.hurt, digits=1))),
    Column("beyond error %", against_baseline(lambda m: percent(m.hurt_beyond_error, digits=1))),
    Column("loss of hurt", against_baseline(lambda m: percent(m.loss_of_hurt))),
    Column("worst client", against_baseline(lambda m: percent(m.worst_gain, sign=True))),
)


def _tenths(value: float | None) -> str:
    return percent(value, digits=1)


_RELATED = (
    Column("rank correlation", mean("relatedness_rank_correlation", share)),
    Column("precision %", mean("relatedness_precision", _tenths)),
    Column("same group %", mean("relatedness_same_group", _tenths)),
)


def _group_table(board: Board, group: int) -> Sequence[Column]:
    """Return the columns that show one group of clients by itself."""

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
        Column(f"group {group}", METHOD.entry, left=True),
        Column("clients", entry(clients, gains=False)),
        SEEDS,
        Column("test accuracy", entry(lambda c: spread(c.accuracy, c.accuracy_std), gains=False)),
        Column(f"gain over {BASELINE}", entry(lambda c: gain_spread(c.gain, c.gain_std))),
        Column("hurt %", entry(lambda c: percent(c.hurt, digits=1))),
        Column("beyond error %", entry(lambda c: percent(c.hurt_beyond_error, digits=1))),
        Column("loss of hurt", entry(lambda c: percent(c.loss_of_hurt))),
        Column("worst client", entry(lambda c: percent(c.worst_gain, sign=True))),
    )


def _group_tables(board: Board) -> list[Sequence[Column]]:
    groups = sorted({group for row in board.rows for group in row.groups})
    return [_group_table(board, group) for group in groups]


def _narrow_groups(board: Board) -> list[Sequence[Column]]:
    return [part for t in _group_tables(board) for part in (t[:5], (t[0], SEEDS, *t[5:]))]


def _budgets(board: Board) -> str:
    """Say whether all rows had the baseline's budget."""
    known = [row for row in board.rows if row.budget is not None]
    if len(known) < 2:
        return ""
    said = differences(known)
    return f"Budgets differ: {said}." if said else f"All rows have the budget of {BASELINE}."


def _new_clients(board: Board) -> list[Sequence[Column]]:
    """Return the columns of newcomers, for the shots that the scenario has."""
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


ColumnSet = Literal[
    "standard", "tests", "transfer", "calibration", "new-clients", "relatedness", "cost"
]
COLUMN_SETS: tuple[ColumnSet, ...] = get_args(ColumnSet)

VIEWS: dict[ColumnSet, View] = {
    "standard": View(
        HEADLINE,
        LEGEND,
        lambda board: (*TABLES[:-1], (*TABLES[-1], *protected(board))),
        lambda board: (*NARROW_TABLES[:-1], (*NARROW_TABLES[-1], *protected(board))),
    ),
    "tests": View(TESTS_HEADLINE, TESTS_LEGEND, tests, narrow_tests, ranking),
    "calibration": View(CALIBRATION_HEADLINE, CALIBRATION_LEGEND, calibration, calibration),
    "cost": View(COST_HEADLINE, COST_LEGEND, cost, narrow_cost),
    "transfer": View(
        TRANSFER_HEADLINE,
        TRANSFER_LEGEND,
        lambda board: [(METHOD, *_GAINED, *_HURT), *_group_tables(board)],
        lambda board: [(METHOD, *_GAINED), (METHOD, SEEDS, *_HURT), *_narrow_groups(board)],
        caveat=_budgets,
    ),
    "new-clients": View(NEW_CLIENTS_HEADLINE, NEW_CLIENTS_LEGEND, _new_clients, _new_clients),
    "relatedness": View(
        RELATEDNESS_HEADLINE,
        RELATEDNESS_LEGEND,
        lambda _: [(METHOD, *_GAINED, *_RELATED)],
        lambda _: [(METHOD, *_GAINED), (METHOD, SEEDS, *_RELATED)],
    ),
}
