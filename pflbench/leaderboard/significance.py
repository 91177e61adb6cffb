"""Which rows are told apart: paired tests on a board.

What is compared is fixed before a test meets it: a row's accuracies are those at the round selected
on validation. No choice is made on test.

The tests are those that Demšar recommends (Statistical comparisons of classifiers over multiple
data sets, JMLR 7, 2006), computed by scipy and statsmodels, which are imported when a test is
asked for.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pflbench.leaderboard.board import Board
from pflbench.leaderboard.bootstrap import interval, resampled_means
from pflbench.leaderboard.protocol import (
    FEWEST_PAIRS,
    SIGNIFICANCE,
)
from pflbench.results.measures import Floats

Verdict = Literal["better", "worse", "not told apart", "too few pairs"]

_DIGITS = 12
"""Accuracies are fractions of small numbers: what differs by less than this is rounding."""

_ALWAYS_NORMAL = 50
"""Above so many pairs scipy uses the normal distribution whether there are ties or not."""


@dataclass(frozen=True)
class PairedTest:
    """Two rows of one board, compared by seed and client.

    Attributes
    ----------
    first, second
        Labels of the rows.
    pairs
        How many: seeds times clients.
    mean_difference
        Accuracy of the first minus that of the second, mean over pairs, in [-1, 1].
    low, high
        Ends of its 95 % interval by the hierarchical bootstrap (seeds, then clients): both rows
        meet the same draws.
    rank_biserial
        Share of the rank sum that speaks for the first minus the share that speaks for the
        second, in [-1, 1] (Kerby, The simple difference formula, 2014).
    p, p_holm
        Two-sided p value of Wilcoxon's signed-rank test; the same after Holm's correction for
        all pairs of rows of the board. None if there are too few pairs.
    reason
        Why there is no p value, else empty.
    """

    first: str
    second: str
    pairs: int
    mean_difference: float
    low: float
    high: float
    rank_biserial: float
    p: float | None
    p_holm: float | None
    reason: str = ""

    @property
    def verdict(self) -> Verdict:
        """What may be said of the first row against the second.

        "better" or "worse" only if the corrected p value is below 0.05, the paired interval
        leaves 0 out, and ranks and mean point the same way: the test speaks of these federations'
        clients, the interval of other seeds' as well, and a few large losses can outweigh many
        small gains.
        """
        if self.p_holm is None:
            return "too few pairs"
        if self.p_holm < SIGNIFICANCE:
            if self.low > 0 and self.rank_biserial > 0:
                return "better"
            if self.high < 0 and self.rank_biserial < 0:
                return "worse"
        return "not told apart"

    def turned(self) -> PairedTest:
        """Return the same comparison, told of the second row."""
        return replace(
            self,
            first=self.second,
            second=self.first,
            mean_difference=0.0 - self.mean_difference,
            low=0.0 - self.high,
            high=0.0 - self.low,
            rank_biserial=0.0 - self.rank_biserial,
        )


def paired_tests(board: Board) -> tuple[PairedTest, ...]:
    """Compare every two ranked rows of a board by seed and client.

    Zero differences are ranked with the others, and their ranks are split evenly between the two
    sides (`zero_method="zsplit"`, as Demšar has it). A client of whom two methods get the same
    accuracy is evidence that they do not differ, so it is not thrown away: with small test splits
    such clients are many, and without them a p value would be one of the few that differ. Rows
    that agree on every client have p = 1.

    Returns
    -------
    tuple[PairedTest, ...]
        In the board's order of rows: R (R - 1) / 2 comparisons of R ranked rows.
    """
    rows = [(row.label, row.accuracies) for row in board.rows if row.accuracies is not None]
    if len(rows) < 2:
        return ()
    labels = [label for label, _ in rows]
    values = np.array([accuracies for _, accuracies in rows])  # [R, S, N]
    resampled = resampled_means(values)
    made: list[PairedTest] = []
    for i, label in enumerate(labels[:-1]):
        difference = np.round(values[i] - values[i + 1 :], _DIGITS)
        flat = difference.reshape(len(difference), -1)
        means = difference.mean(axis=2).mean(axis=1)
        low, high = interval(resampled[:, i : i + 1] - resampled[:, i + 1 :])
        ps, pull = _wilcoxon(flat), _rank_biserial(flat)
        pairs = flat.shape[1]
        for j, other in enumerate(labels[i + 1 :]):
            made.append(
                PairedTest(
                    first=label,
                    second=other,
                    pairs=pairs,
                    mean_difference=float(means[j]),
                    low=float(low[j]),
                    high=float(high[j]),
                    rank_biserial=float(pull[j]),
                    p=None if ps is None else float(ps[j]),
                    p_holm=None,
                    reason="" if ps is not None else _too_few(pairs),
                )
            )
    return tuple(_corrected(made))


def _too_few(pairs: int) -> str:
    return f"{pairs} pairs, and with fewer than {FEWEST_PAIRS} no result can be significant"


def _wilcoxon(differences: Floats) -> Floats | None:
    """Return the p value of every row of differences [P, n]; None if n is too small."""
    from scipy.stats import wilcoxon

    if differences.shape[1] < FEWEST_PAIRS:
        return None
    if differences.shape[1] > _ALWAYS_NORMAL:
        found = wilcoxon(differences, zero_method="zsplit", axis=1).pvalue
    else:  # each by itself: whether a p value is exact depends on the ties of all that meet it
        found = [wilcoxon(row, zero_method="zsplit").pvalue for row in differences]
    return np.asarray(found, dtype=np.float64)


def _rank_biserial(differences: Floats) -> Floats:
    from scipy.stats import rankdata

    ranks = rankdata(np.abs(differences), axis=1)
    shares: Floats = (ranks * np.sign(differences)).sum(axis=1) / ranks.sum(axis=1)
    return shares


def _corrected(tests: Sequence[PairedTest]) -> list[PairedTest]:
    """Correct the p values of a board for their number (Holm)."""
    ps = [test.p for test in tests]
    known = [p for p in ps if p is not None]
    if len(known) < len(ps):  # one number of pairs for all: all are known or none
        return list(tests)
    from statsmodels.stats.multitest import multipletests

    gc.freeze()  # it collects garbage, which takes longer the more the program holds
    try:
        holm = multipletests(known, alpha=SIGNIFICANCE, method="holm")[1]
    finally:
        gc.unfreeze()
    return [replace(test, p_holm=float(p)) for test, p in zip(tests, holm, strict=True)]
