"""What a printed leaderboard shows of a row, and how numbers are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pflbench.leaderboard.board import Board, Measures, Row
from pflbench.leaderboard.joining import UNLABELLED
from pflbench.leaderboard.protocol import (
    BASELINE,
    HEADLINE,
    LEGEND,
    NEW_CLIENTS_HEADLINE,
    NEW_CLIENTS_LEGEND,
    RELATEDNESS_HEADLINE,
    RELATEDNESS_LEGEND,
    TRANSFER_HEADLINE,
    TRANSFER_LEGEND,
)
from pflbench.leaderboard.transfer import Comparison

NOTHING = "–"
NO_BASELINE = f"no {BASELINE} run"
"""Said where there is nothing to compare with: that a client gains 0 is another thing."""

CHOSEN_MARK = "†"


@dataclass(frozen=True)
class Column:
    """One column: its header and a row's entry, as plain text."""

    header: str
    entry: Callable[[Row], str]
    left: bool = False


def _percent(value: float | None, *, digits: int = 2, sign: bool = False) -> str:
    if value is None:
        return NOTHING
    text = f"{100 * value:{'+' if sign else ''}.{digits}f}"
    # What rounds to nothing has no sign.
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", "−")


def _number(value: float | None, digits: int = 0) -> str:
    return NOTHING if value is None else f"{value:,.{digits}f}"


def _share(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}".replace("-", "−")


def _mega(value: float | None) -> str:
    return NOTHING if value is None else f"{value / 1e6:,.1f}"


def _measure(show: Callable[[Measures], str]) -> Callable[[Row], str]:
    return lambda row: NOTHING if row.measures is None else show(row.measures)


def _against_baseline(show: Callable[[Measures], str]) -> Callable[[Row], str]:
    """Leave the baseline's own row empty."""
    entry = _measure(show)
    return lambda row: NOTHING if row.algorithm == BASELINE else entry(row)


def _accuracy(m: Measures) -> str:
    mean = _percent(m.test_accuracy)
    return mean if m.test_std is None else f"{mean} ± {_percent(m.test_std)}"


def _hurt(m: Measures) -> str:
    if m.hurt is None:
        return NOTHING
    return f"{_percent(m.hurt, digits=1)} ({_percent(m.hurt_beyond_error, digits=1)})"


def _gain(m: Measures) -> str:
    if m.gain is None or m.gain_low is None or m.gain_high is None:
        return NO_BASELINE
    ends = " … ".join(_percent(end, digits=1, sign=True) for end in (m.gain_low, m.gain_high))
    return f"{_percent(m.gain, sign=True)} [{ends}]"


def _steps(m: Measures) -> str:
    steps = _number(m.local_steps)
    return f"{steps} + {_number(m.adapt_steps)}" if m.adapt_steps else steps


def _selected(m: Measures) -> str:
    return _number(m.selected_round, 0 if m.selected_round == round(m.selected_round) else 1)


RANK = Column("rank", lambda row: NOTHING if row.rank is None else str(row.rank))
METHOD = Column(
    "method", lambda row: row.label + (f" {CHOSEN_MARK}" if row.chosen else ""), left=True
)

ACCURACY = (
    RANK,
    METHOD,
    Column("seeds", lambda row: str(len(row.seeds))),
    Column("test accuracy", _measure(_accuracy)),
    Column(
        "95 % interval",
        _measure(lambda m: f"{_percent(m.low, digits=1)} … {_percent(m.high, digits=1)}"),
    ),
    Column("worst tenth", _measure(lambda m: _percent(m.worst_tenth))),
)
AGAINST_BASELINE = (
    Column(f"gain over {BASELINE}", _against_baseline(_gain)),
    Column("hurt %", _against_baseline(_hurt)),
)
SELECTION = (
    Column("last round", _measure(lambda m: _percent(m.last_accuracy))),
    Column("best test", _measure(lambda m: _percent(m.best_accuracy))),
    Column("optimism", _measure(lambda m: _percent(m.optimism))),
)
COSTS = (
    Column("selected round", _measure(_selected)),
    Column("local steps", _measure(_steps)),
    Column("MB up", _measure(lambda m: _mega(m.bytes_up))),
    Column("MB down", _measure(lambda m: _mega(m.bytes_down))),
    Column("seconds", _measure(lambda m: _number(m.seconds, 1))),
)

TABLES = ((*ACCURACY, *AGAINST_BASELINE), (METHOD, *SELECTION, *COSTS))
"""The comparison; then what selection did and what it cost."""

NARROW_TABLES = (ACCURACY, (METHOD, *AGAINST_BASELINE, *SELECTION), (METHOD, *COSTS))
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
    """

    headline: str
    legend: tuple[tuple[str, str], ...]
    tables: Callable[[Board], Tables]
    narrow_tables: Callable[[Board], Tables]


_GAINED = (
    Column("seeds", lambda row: str(len(row.seeds))),
    Column("test accuracy", _measure(_accuracy)),
    Column(f"gain over {BASELINE}", _against_baseline(_gain)),
)
_HURT = (
    Column("hurt %", _against_baseline(lambda m: _percent(m.hurt, digits=1))),
    Column("beyond error %", _against_baseline(lambda m: _percent(m.hurt_beyond_error, digits=1))),
    Column("loss of hurt", _against_baseline(lambda m: _percent(m.loss_of_hurt))),
    Column("worst client", _against_baseline(lambda m: _percent(m.worst_gain, sign=True))),
)


_RELATED = (
    Column("rank correlation", _measure(lambda m: _share(m.relatedness_rank_correlation))),
    Column("precision %", _measure(lambda m: _percent(m.relatedness_precision, digits=1))),
    Column("same group %", _measure(lambda m: _percent(m.relatedness_same_group, digits=1))),
)


def _group_table(board: Board, group: int) -> Sequence[Column]:
    """Return the columns that show one group of clients by itself."""

    def entry(show: Callable[[Comparison], str], *, gains: bool = True) -> Callable[[Row], str]:
        return lambda row: (
            NOTHING
            if group not in row.groups or (gains and row.algorithm == BASELINE)
            else show(row.groups[group])
        )

    def clients(found: Comparison) -> str:
        each = found.clients / max(len(board.seeds), 1)
        return f"{each:,.0f}" if each == round(each) else f"{each:,.1f}"

    return (
        Column(f"group {group}", METHOD.entry, left=True),
        Column("clients", entry(clients, gains=False)),
        Column("test accuracy", entry(lambda c: _percent(c.accuracy), gains=False)),
        Column(f"gain over {BASELINE}", entry(lambda c: _percent(c.gain, sign=True))),
        Column("hurt %", entry(lambda c: _percent(c.hurt, digits=1))),
        Column("beyond error %", entry(lambda c: _percent(c.hurt_beyond_error, digits=1))),
        Column("loss of hurt", entry(lambda c: _percent(c.loss_of_hurt))),
        Column("worst client", entry(lambda c: _percent(c.worst_gain, sign=True))),
    )


def _group_tables(board: Board) -> list[Sequence[Column]]:
    groups = sorted({group for row in board.rows for group in row.groups})
    return [_group_table(board, group) for group in groups]


def _narrow_groups(board: Board) -> list[Sequence[Column]]:
    return [part for t in _group_tables(board) for part in (t[:4], (t[0], *t[4:]))]


def _new_clients(board: Board) -> list[Sequence[Column]]:
    """Return the columns of newcomers, for the shots that the scenario has."""
    shots = list(dict.fromkeys(s for row in board.rows for s in row.onboarded.accuracy))

    def entry(s: str) -> Callable[[Row], str]:
        return lambda row: _percent(row.onboarded.accuracy.get(s))

    return [
        (
            METHOD,
            Column("participants", lambda row: _percent(row.onboarded.participants)),
            *(Column("zero-shot" if s == UNLABELLED else f"{s}-shot", entry(s)) for s in shots),
            Column("gap", lambda row: _percent(row.onboarded.gap, sign=True)),
        )
    ]


ColumnSet = Literal["standard", "transfer", "new-clients", "relatedness"]
COLUMN_SETS: tuple[ColumnSet, ...] = get_args(ColumnSet)

VIEWS: dict[ColumnSet, View] = {
    "standard": View(HEADLINE, LEGEND, lambda _: TABLES, lambda _: NARROW_TABLES),
    "transfer": View(
        TRANSFER_HEADLINE,
        TRANSFER_LEGEND,
        lambda board: [(METHOD, *_GAINED, *_HURT), *_group_tables(board)],
        lambda board: [(METHOD, *_GAINED), (METHOD, *_HURT), *_narrow_groups(board)],
    ),
    "new-clients": View(NEW_CLIENTS_HEADLINE, NEW_CLIENTS_LEGEND, _new_clients, _new_clients),
    "relatedness": View(
        RELATEDNESS_HEADLINE,
        RELATEDNESS_LEGEND,
        lambda _: [(METHOD, *_GAINED, *_RELATED)],
        lambda _: [(METHOD, *_GAINED), (METHOD, *_RELATED)],
    ),
}
