"""Marks after the label of a row, and their meaning."""

from __future__ import annotations

from collections.abc import Iterable

from pflbench.analysis.board import Row
from pflbench.analysis.protocol import CHOSEN, STILL_IMPROVING, TUNED_END, UNSTABLE

CHOSEN_MARK = "†"
EDGE_MARK = "‡"
IMPROVING_MARK = "↑"
UNSTABLE_MARK = "§"

_MEANINGS = {
    CHOSEN_MARK: CHOSEN,
    EDGE_MARK: TUNED_END,
    IMPROVING_MARK: STILL_IMPROVING,
    UNSTABLE_MARK: UNSTABLE,
}


def marks(row: Row) -> str:
    """Return the marks of a row."""
    return "".join(_details(row))


def hint(row: Row) -> str:
    """Return the meaning of a row's marks, in one line; "" if it has none."""
    return "; ".join(
        f"{mark} {detail or _MEANINGS[mark].rstrip('.')}" for mark, detail in _details(row).items()
    )


def unstable(rows: Iterable[Row]) -> list[str]:
    """Return a note for each row whose seeds do not agree."""
    return [
        f"{UNSTABLE_MARK} {row.label}: {row.training.unstable}."
        for row in rows
        if row.training.unstable
    ]


def legend_of_marks(rows: Iterable[Row]) -> list[tuple[str, str]]:
    """Return the marks that some row has, each with its meaning."""
    used = {mark for row in rows for mark in _details(row)}
    return [(mark, meaning) for mark, meaning in _MEANINGS.items() if mark in used]


def _details(row: Row) -> dict[str, str]:
    """Return the marks of a row, each with its details."""
    details = {
        CHOSEN_MARK: "" if row.chosen else None,
        EDGE_MARK: "; ".join(map(str, row.ends)) or None,
        IMPROVING_MARK: "" if row.training.improving else None,
        UNSTABLE_MARK: row.training.unstable or None,
    }
    return {mark: detail for mark, detail in details.items() if detail is not None}
