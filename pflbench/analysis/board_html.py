"""A leaderboard as a small HTML table, which notebooks show."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from pflbench.analysis.protocol import BASELINE

if TYPE_CHECKING:
    from pflbench.analysis.board import Board, Row


def html_table(board: Board) -> str:
    """Write a board's title, its headline numbers in percent, and its notes."""
    import pandas as pd

    table = pd.DataFrame([_cells(row) for row in board.rows])
    with pd.option_context("display.max_colwidth", None):
        shown: str = table.to_html(index=False, border=0)  # escapes the cells' text
    notes = "".join(f"<li>{escape(note)}</li>" for note in board.notes)
    return (
        f"<p><b>{escape(board.title)}</b><br>{escape(board.words)}</p>{shown}"
        f"{f'<ul>{notes}</ul>' if notes else ''}"
    )


def _cells(row: Row) -> dict[str, str]:
    m = row.measures
    gain = None if m is None else m.gain
    interval = "" if m is None or m.low is None else f"{m.low:.2%} to {m.high:.2%}"
    rank = "" if row.rank is None else str(row.rank)
    if row.worst_rank != row.rank:
        rank = f"{row.rank}–{row.worst_rank}"
    return {
        "Rank": rank,
        "Method": row.label,
        "Seeds": str(len(row.seeds)),
        "Test accuracy": row.reason if m is None else f"{m.test_accuracy:.2%}",
        "95 % interval": interval,
        "Worst tenth": "" if m is None else f"{m.worst_tenth:.2%}",
        f"Gain over {BASELINE}": "" if gain is None else f"{100 * gain:+.2f} points",
    }
