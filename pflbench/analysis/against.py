"""Each row of a board against its baseline and against its best row, tested."""

from __future__ import annotations

import math

from pflbench.analysis.board import Board, Row
from pflbench.analysis.significance import PairedTest, paired_tests


class Against:
    """The comparisons that tables show of one board; None with itself, and of unranked rows.

    The best row is that with the highest test accuracy (or score, of `board.compared()`), whether
    or not it is better than others.
    """

    def __init__(self, board: Board) -> None:
        tests = paired_tests(board)
        self._tests: dict[tuple[str, str | None], PairedTest] = {}
        self._tests |= {(test.first, test.second): test for test in tests}
        self._tests |= {(test.second, test.first): test.turned() for test in tests}
        ranked = [row for row in board.rows if row.accuracies is not None]
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
        return row.accuracies is not None and row.label == self._best

    def record(self, row: Row) -> dict[str, float | str | None]:
        """Return a row's flat columns."""
        local, best = self.baseline(row), self.best(row)
        return {
            "gain_p": _known(local, "p"),
            "gain_p_holm": _known(local, "p_holm"),
            "gain_verdict": getattr(local, "verdict", None),
            "to_best": _known(best, "mean_difference"),
            "to_best_low": _known(best, "low"),
            "to_best_high": _known(best, "high"),
            "to_best_p": _known(best, "p"),
            "to_best_p_holm": _known(best, "p_holm"),
            "to_best_verdict": getattr(best, "verdict", None),
        }


def _known(test: PairedTest | None, name: str) -> float | None:
    """Return a number of a comparison; None without a comparison."""
    value = math.nan if test is None else float(getattr(test, name))
    return None if math.isnan(value) else value
