"""What a printed leaderboard shows of a row, and how numbers are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pflbench.leaderboard.board import Board, Measures, Row
from pflbench.leaderboard.protocol import (
    BASELINE,
    COST_HEADLINE,
    COST_LEGEND,
    HEADLINE,
    LEGEND,
    NEW_CLIENTS_HEADLINE,
    NEW_CLIENTS_LEGEND,
    RELATEDNESS_HEADLINE,
    RELATEDNESS_LEGEND,
    TRANSFER_HEADLINE,
    TRANSFER_LEGEND,
)
from pflbench.leaderboard.spending import Spent
from pflbench.leaderboard.transfer import Comparison
from pflbench.newcomers import shots_in_words

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
            *(Column(shots_in_words(s), entry(s)) for s in shots),
            Column("gap", lambda row: _percent(row.onboarded.gap, sign=True)),
        )
    ]


def _spent(show: Callable[[Spent], str]) -> Callable[[Row], str]:
    return lambda row: NOTHING if row.measures is None else show(row.spent)


_EPSILON = Column("ε", _spent(lambda s: NOTHING if s.epsilon is None else f"{s.epsilon:,.4g}"))


def _protected(board: Board) -> tuple[Column, ...]:
    """Return the column of ε, where uploads are protected."""
    return (_EPSILON,) if any(row.spent.epsilon is not None for row in board.rows) else ()


def _over_network(board: Board, show: Callable[[Spent], float | None]) -> tuple[Column, ...]:
    """Return the column of seconds over the network that was asked for, if one was."""
    asked = next((row.spent.network for row in board.rows if row.spent.network), None)
    if asked is None:
        return ()
    return (Column(f"seconds over {asked}", _spent(lambda s: _number(show(s), 1))),)


_TRAINING = (
    Column("seeds", lambda row: str(len(row.seeds))),
    Column("test accuracy", _measure(_accuracy)),
    Column("local steps", _measure(_steps)),
    Column("MB up", _measure(lambda m: _mega(m.bytes_up))),
    Column("MB down", _measure(lambda m: _mega(m.bytes_down))),
)
_MACHINE = (
    Column("client seconds", _spent(lambda s: _number(s.client_seconds, 1))),
    Column("server seconds", _spent(lambda s: _number(s.server_seconds, 1))),
    Column("peak MB", _spent(lambda s: _mega(s.peak_memory_bytes))),
)


def _until_target(board: Board) -> list[Sequence[Column]]:
    """Return the columns of what was spent until a target, if one was asked for."""
    target = next((row.spent.target for row in board.rows if row.spent.target), None)
    if target is None:
        return []

    def entry(name: str, show: Callable[[float | None], str]) -> Callable[[Row], str]:
        return _spent(lambda s: show(getattr(s.at_target, name, None)))

    def seeds(row: Row) -> str:
        return NOTHING if row.spent.target_seeds is None else (
            f"{row.spent.target_seeds} of {len(row.seeds)} seeds" if row.spent.target_seeds
            else "never"
        )  # fmt: skip

    return [
        (
            METHOD,
            Column(f"reached {_percent(target, digits=1)} %", seeds),
            Column("round", entry("round", lambda x: _number(x, 0))),
            Column("local steps", entry("local_steps", _number)),
            Column("MB up", entry("bytes_up", _mega)),
            Column("MB down", entry("bytes_down", _mega)),
            Column("client seconds", entry("client_seconds", lambda x: _number(x, 1))),
            Column("server seconds", entry("server_seconds", lambda x: _number(x, 1))),
            *_over_network(board, lambda s: getattr(s.at_target, "network_seconds", None)),
            Column("test accuracy there", entry("test_accuracy", _percent)),
        )
    ]


def _cost(board: Board) -> list[Sequence[Column]]:
    whole = _over_network(board, lambda s: s.network_seconds)
    return [
        (METHOD, *_TRAINING, *_MACHINE, *whole, *_protected(board)),
        *_until_target(board),
    ]  # fmt: skip


def _narrow_cost(board: Board) -> list[Sequence[Column]]:
    whole = _over_network(board, lambda s: s.network_seconds)
    return [
        (METHOD, *_TRAINING),
        (METHOD, *_MACHINE, *whole, *_protected(board)),
        *(part for t in _until_target(board) for part in (t[:6], (t[0], *t[6:]))),
    ]


ColumnSet = Literal["standard", "transfer", "new-clients", "relatedness", "cost"]
COLUMN_SETS: tuple[ColumnSet, ...] = get_args(ColumnSet)

VIEWS: dict[ColumnSet, View] = {
    "standard": View(
        HEADLINE,
        LEGEND,
        lambda board: (*TABLES[:-1], (*TABLES[-1], *_protected(board))),
        lambda board: (*NARROW_TABLES[:-1], (*NARROW_TABLES[-1], *_protected(board))),
    ),
    "cost": View(COST_HEADLINE, COST_LEGEND, _cost, _narrow_cost),
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
