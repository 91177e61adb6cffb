"""Each row of a board against its baseline and against its best row, tested."""

from __future__ import annotations

from pflbench.leaderboard.board import Board, Row
from pflbench.leaderboard.significance import PairedTest, paired_tests


class Against:
    """The comparisons that tables show of one board; None with itself, and of unranked rows.

    The best row is the first of rank 1: that with the highest test accuracy.
    """

    def __init__(self, board: Board) -> None:
        tests = paired_tests(board)
        self._tests: dict[tuple[str, str | None], PairedTest] = {}
        self._tests |= {(test.first, test.second): test for test in tests}
        self._tests |= {(test.second, test.first): test.turned() for test in tests}
        ranked = [row for row in board.rows if row.rank is not None]
        self._best = ranked[0].label if ranked else None
        self._baseline = next((row.label for row in ranked if row.baseline), None)

    def baseline(self, row: Row) -> PairedTest | None:
        """Return the row against the one that gains are over."""
        return self._tests.get((row.label, self._baseline))

    def best(self, row: Row) -> PairedTest | None:
        """Return the row against the best."""
        return self._tests.get((row.label, self._best))

    def is_best(self, row: Row) -> bool:
        """Whether the row is the best."""
        return row.rank is not None and row.label == self._best

    def record(self, row: Row) -> dict[str, float | None]:
        """Return a row's flat columns."""
        local, best = self.baseline(row), self.best(row)
        return {
            "gain_p": getattr(local, "p", None),
            "gain_p_holm": getattr(local, "p_holm", None),
            "to_best": getattr(best, "mean_difference", None),
            "to_best_low": getattr(best, "low", None),
            "to_best_high": getattr(best, "high", None),
            "to_best_p": getattr(best, "p", None),
            "to_best_p_holm": getattr(best, "p_holm", None),
        }
