"""Marks beside the label of a row, and what they say."""

from __future__ import annotations

from collections.abc import Iterable

from pflbench.leaderboard.board import Row
from pflbench.leaderboard.protocol import CHOSEN, TUNED_END

CHOSEN_MARK = "†"
EDGE_MARK = "‡"

_MEANINGS = {CHOSEN_MARK: CHOSEN, EDGE_MARK: TUNED_END}


def marks(row: Row) -> str:
    """Return the marks of a row."""
    shown = {CHOSEN_MARK: row.chosen, EDGE_MARK: bool(row.ends)}
    return "".join(mark for mark, holds in shown.items() if holds)


def legend_of_marks(rows: Iterable[Row]) -> list[tuple[str, str]]:
    """Return the marks that some row has, each with its meaning."""
    used = {mark for row in rows for mark in marks(row)}
    return [(mark, meaning) for mark, meaning in _MEANINGS.items() if mark in used]
