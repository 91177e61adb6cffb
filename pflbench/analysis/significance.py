"""Which rows are told apart: paired tests on a board, and the ranks that follow.

All compared numbers are fixed before the test: a row's accuracies are those at the round selected
on validation. No choice is made on test data.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from pflbench.analysis.inference import board_p, plain_p, t_interval
from pflbench.analysis.protocol import FEWEST_SEEDS, SIGNIFICANCE
from pflbench.results.measures import Floats

Verdict = Literal["better", "worse", "not told apart", "no verdict"]

_DIGITS = 12
"""Accuracies are fractions of small numbers: smaller differences are rounding."""


class Compared(Protocol):
    """The parts of a row that are compared with others."""

    @property
    def label(self) -> str:
        """Its name among the rows."""

    @property
    def accuracies(self) -> Floats | None:
        """Return accuracies [S, N] by seed and client; None if it is not compared."""


class Comparable(Protocol):
    """A board, as far as its rows are compared."""

    @property
    def rows(self) -> Sequence[Compared]:
        """Its rows, all of the same seeds and clients."""


@dataclass(frozen=True)
class PairedTest:
    """Two rows of one board, compared client by client; the seed is the unit.

    Attributes
    ----------
    first, second
        Labels of the rows.
    seeds
        Over how many seeds.
    mean_difference
        Accuracy of the first minus that of the second, client by client; mean over clients, then
        over seeds, in [-1, 1].
    std
        Standard deviation over seeds of a seed's mean difference; NaN with one seed.
    low, high
        Ends of the mean difference's 95 % t interval over seeds, of this pair alone; NaN with one
        seed.
    p
        Two-sided p value of the paired t test over seeds, of this pair alone; NaN without a
        verdict.
    p_holm
        The p value of the verdict: corrected for all pairs of rows of the board (`board_p`); NaN
        without a verdict.
    """

    first: str
    second: str
    seeds: int
    mean_difference: float
    std: float
    low: float
    high: float
    p: float
    p_holm: float

    @property
    def verdict(self) -> Verdict:
        """Whether the first row is better, worse, or not told apart from the second.

        Fewer than five seeds have no verdict: they are too few to estimate the methods' luck.
        """
        if math.isnan(self.p_holm):
            return "no verdict"
        if self.p_holm >= SIGNIFICANCE or self.mean_difference == 0:
            return "not told apart"
        return "better" if self.mean_difference > 0 else "worse"

    def negated(self) -> PairedTest:
        """Return the comparison with its differences negated, the rows as they are."""
        return replace(
            self,
            mean_difference=0.0 - self.mean_difference,
            low=0.0 - self.high,
            high=0.0 - self.low,
        )

    def turned(self) -> PairedTest:
        """Return the same comparison, from the second row's side."""
        return replace(self.negated(), first=self.second, second=self.first)


def paired_tests(board: Comparable) -> tuple[PairedTest, ...]:
    """Compare every two ranked rows of a board over seeds.

    Returns
    -------
    tuple[PairedTest, ...]
        In the board's order of rows: R (R - 1) / 2 comparisons of R ranked rows.
    """
    rows = [(row.label, row.accuracies) for row in board.rows if row.accuracies is not None]
    if len(rows) < 2:
        return ()
    labels = [label for label, _ in rows]
    by_seed = np.array([np.mean(accuracies, axis=1) for _, accuracies in rows])  # [R, S]
    first, second = np.triu_indices(len(rows), 1)
    differences = np.round(by_seed[first] - by_seed[second], _DIGITS)  # [P, S]
    seeds = differences.shape[1]
    means = differences.mean(axis=1)
    spread = differences.std(axis=1, ddof=1) if seeds > 1 else np.full(len(means), np.nan)
    low, high = t_interval(differences)
    p = corrected = np.full(len(means), np.nan)
    if seeds >= FEWEST_SEEDS:
        p, corrected = plain_p(differences), board_p(differences, len(rows))
    return tuple(
        PairedTest(
            first=labels[i],
            second=labels[j],
            seeds=seeds,
            mean_difference=float(means[k]),
            std=float(spread[k]),
            low=float(low[k]),
            high=float(high[k]),
            p=float(p[k]),
            p_holm=float(corrected[k]),
        )
        for k, (i, j) in enumerate(zip(first, second, strict=True))
    )


def ranks(tests: Iterable[PairedTest]) -> dict[str, tuple[int, int]]:
    """Return the best and the worst rank that the verdicts allow each row, by its label.

    The best is one more than the number of rows that are better; the worst is the rank if all
    rows were better that it does not beat. Empty without a verdict.
    """
    above: dict[str, int] = {}
    below: dict[str, int] = {}
    for test in tests:
        if test.verdict == "no verdict":
            return {}
        for own, verdict in ((test.first, test.verdict), (test.second, test.turned().verdict)):
            above[own] = above.get(own, 0) + (verdict == "worse")
            below[own] = below.get(own, 0) + (verdict == "better")
    return {label: (1 + above[label], len(above) - below[label]) for label in above}
