"""The costs of a board's rows: whole runs, over a network, until a target."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pflbench.analysis.board import Board, Row
from pflbench.analysis.costs import Spent
from pflbench.report.tables.entries import (
    METHOD,
    NOTHING,
    SEEDS,
    Column,
    accuracy,
    counted,
    measure,
    mega,
    number,
    percent,
    rounds,
    seconds,
    spread,
    steps,
)


def _spent(show: Callable[[Spent], str]) -> Callable[[Row], str]:
    return lambda row: NOTHING if row.measures is None else show(row.spent)


def _mean(name: str, show: Callable[[float | None], str]) -> Callable[[Row], str]:
    """Return the entry of a mean over seeds, with its standard deviation if there are several."""
    return _spent(lambda s: spread(getattr(s, name), s.deviations.get(name), show))


_EPSILON = Column("ε", _spent(lambda s: NOTHING if s.epsilon is None else f"{s.epsilon:,.4g}"))


def protected(board: Board) -> tuple[Column, ...]:
    """Return the column of ε, where uploads are protected."""
    return (_EPSILON,) if any(row.spent.epsilon is not None for row in board.rows) else ()


def _over_network(board: Board, entry: Callable[[Row], str]) -> tuple[Column, ...]:
    """Return the column of seconds over the requested network, if any."""
    asked = next((row.spent.network for row in board.rows if row.spent.network), None)
    if asked is None:
        return ()
    return (Column(f"seconds over {asked}", entry),)


_TRAINING = (
    SEEDS,
    Column("test accuracy", measure(accuracy)),
    Column("gradients", steps),
    Column("MB up", counted("bytes_up", mega)),
    Column("MB down", counted("bytes_down", mega)),
)
_MACHINE = (
    Column("client seconds", _mean("client_seconds", seconds)),
    Column("server seconds", _mean("server_seconds", seconds)),
    Column("peak MB", _mean("peak_memory_bytes", mega)),
)


def _until_target(board: Board) -> list[Sequence[Column]]:
    """Return the columns of costs until the requested target, if any."""
    target = next((row.spent.target for row in board.rows if row.spent.target), None)
    if target is None:
        return []

    def entry(name: str, show: Callable[[float | None], str]) -> Callable[[Row], str]:
        return _spent(
            lambda s: spread(
                getattr(s.at_target, name, None), s.deviations.get(f"target_{name}"), show
            )
        )

    def seeds(row: Row) -> str:
        return (
            NOTHING
            if row.spent.target_seeds is None
            else (
                f"{row.spent.target_seeds} of {len(row.seeds)} seeds"
                if row.spent.target_seeds
                else "never"
            )
        )

    return [
        (
            METHOD,
            Column(f"reached {percent(target, digits=1)} %", seeds, repeated=True),
            Column("round", entry("round", rounds)),
            Column("gradients", entry("local_steps", number)),
            Column("MB up", entry("bytes_up", mega)),
            Column("MB down", entry("bytes_down", mega)),
            Column("client seconds", entry("client_seconds", seconds)),
            Column("server seconds", entry("server_seconds", seconds)),
            *_over_network(board, entry("network_seconds", seconds)),
            Column("test accuracy there", entry("test_accuracy", percent)),
        )
    ]


def cost(board: Board) -> list[Sequence[Column]]:
    """Return the columns of the rows' costs."""
    whole = _over_network(board, _mean("network_seconds", seconds))
    return [(METHOD, *_TRAINING, *_MACHINE, *whole, *protected(board)), *_until_target(board)]
