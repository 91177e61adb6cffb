"""What a board's rows cost: whole runs, over a network, until a target."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pflbench.leaderboard.board import Board, Row
from pflbench.leaderboard.entries import (
    METHOD,
    NOTHING,
    SEEDS,
    Column,
    accuracy,
    measure,
    mega,
    number,
    percent,
    spread,
    steps,
)
from pflbench.leaderboard.spending import Spent


def _spent(show: Callable[[Spent], str]) -> Callable[[Row], str]:
    return lambda row: NOTHING if row.measures is None else show(row.spent)


_EPSILON = Column("ε", _spent(lambda s: NOTHING if s.epsilon is None else f"{s.epsilon:,.4g}"))


def protected(board: Board) -> tuple[Column, ...]:
    """Return the column of ε, where uploads are protected."""
    return (_EPSILON,) if any(row.spent.epsilon is not None for row in board.rows) else ()


def _over_network(board: Board, show: Callable[[Spent], float | None]) -> tuple[Column, ...]:
    """Return the column of seconds over the network that was asked for, if one was."""
    asked = next((row.spent.network for row in board.rows if row.spent.network), None)
    if asked is None:
        return ()
    return (Column(f"seconds over {asked}", _spent(lambda s: number(show(s), 1))),)


_TRAINING = (
    SEEDS,
    Column("test accuracy", measure(accuracy)),
    Column("gradients", measure(steps)),
    Column("MB up", measure(lambda m: mega(m.bytes_up))),
    Column("MB down", measure(lambda m: mega(m.bytes_down))),
)
_MACHINE = (
    Column("client seconds", _spent(lambda s: number(s.client_seconds, 1))),
    Column("server seconds", _spent(lambda s: number(s.server_seconds, 1))),
    Column("peak MB", _spent(lambda s: mega(s.peak_memory_bytes))),
)


def _accuracy_there(spent: Spent) -> str:
    return spread(getattr(spent.at_target, "test_accuracy", None), spent.at_target_std)


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
            Column(f"reached {percent(target, digits=1)} %", seeds),
            Column("round", entry("round", lambda x: number(x, 0))),
            Column("gradients", entry("local_steps", number)),
            Column("MB up", entry("bytes_up", mega)),
            Column("MB down", entry("bytes_down", mega)),
            Column("client seconds", entry("client_seconds", lambda x: number(x, 1))),
            Column("server seconds", entry("server_seconds", lambda x: number(x, 1))),
            *_over_network(board, lambda s: getattr(s.at_target, "network_seconds", None)),
            Column("test accuracy there", _spent(_accuracy_there)),
        )
    ]


def cost(board: Board) -> list[Sequence[Column]]:
    """Return the columns of what rows cost."""
    whole = _over_network(board, lambda s: s.network_seconds)
    return [
        (METHOD, *_TRAINING, *_MACHINE, *whole, *protected(board)),
        *_until_target(board),
    ]  # fmt: skip


def narrow_cost(board: Board) -> list[Sequence[Column]]:
    """Return the same columns for less room."""
    whole = _over_network(board, lambda s: s.network_seconds)
    return [
        (METHOD, *_TRAINING),
        (METHOD, SEEDS, *_MACHINE, *whole, *protected(board)),
        *(part for t in _until_target(board) for part in (t[:6], (t[0], *t[6:]))),
    ]
