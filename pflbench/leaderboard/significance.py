"""Which rows are told apart: paired tests on a board, average ranks over boards.

What is compared is fixed before a test meets it: a row's accuracies are those at the round selected
on validation, and where an algorithm has several rows, validation chooses the one that stands for
it over boards. No choice is made on test.

The tests are those that Demšar recommends (Statistical comparisons of classifiers over multiple
data sets, JMLR 7, 2006), computed by scipy, statsmodels and scikit-posthocs, which are imported
when a test is asked for.
"""

from __future__ import annotations

import gc
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pflbench.leaderboard.board import Board, Row
from pflbench.leaderboard.bootstrap import interval, resampled_means
from pflbench.leaderboard.protocol import (
    FEWEST_BLOCKS,
    FEWEST_METHODS,
    FEWEST_PAIRS,
    SIGNIFICANCE,
)
from pflbench.leaderboard.wording import written
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


@dataclass(frozen=True)
class CriticalDifference:
    """Methods ranked over blocks: data set × heterogeneity.

    Attributes
    ----------
    methods, average_ranks
        Algorithms and their average ranks over blocks, best first; 1 is the best.
    critical_difference
        Average ranks that differ by less are not told apart (Nemenyi).
    cliques
        Maximal sets of two methods or more that are not told apart. Where Friedman's test finds
        no difference at all there is one, of all methods.
    blocks
        What they were ranked on, one title a block.
    friedman_p
        That all methods are alike, by Friedman's test.
    left_out
        Algorithms with a ranked row on some blocks, but not on all.
    """

    methods: tuple[str, ...]
    average_ranks: tuple[float, ...]
    critical_difference: float
    cliques: tuple[tuple[str, ...], ...]
    blocks: tuple[str, ...]
    friedman_p: float
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class NotEnough:
    """There is too little to rank methods over; `reason` says what there is, in one sentence."""

    reason: str


def critical_difference(boards: Iterable[Board]) -> CriticalDifference | NotEnough:
    """Rank methods over blocks (Friedman), and tell them apart (Nemenyi).

    A block is a data set with a heterogeneity: partition and population. Boards of one block, that
    differ in rounds, learning rate, model or the like only, share its data and would count one
    experiment several times. The one with the most ranked algorithms stands for them; of several,
    that with the most rounds, then with the most seeds. A board with fewer than three ranked
    algorithms is no block.

    Methods are the algorithms with a ranked row in every block. Where one has several rows, the
    one that validation prefers stands for it.

    Returns
    -------
    CriticalDifference | NotEnough
        The latter with fewer than five blocks or three methods.
    """
    blocks = _blocks(list(boards))
    if len(blocks) < FEWEST_BLOCKS:
        return NotEnough(
            f"{FEWEST_BLOCKS} blocks (data set × partition × population) with at least "
            f"{FEWEST_METHODS} ranked methods are needed, and there {_are(len(blocks))}"
        )
    ranked = [_standing(board) for board in blocks]
    methods = sorted(set.intersection(*(set(rows) for rows in ranked)))
    left_out = sorted(set.union(*(set(rows) for rows in ranked)) - set(methods))
    if len(methods) < FEWEST_METHODS:
        return NotEnough(
            f"{FEWEST_METHODS} methods with a ranked row on each of {len(blocks)} blocks are "
            f"needed, and there {_are(len(methods))}{': ' if methods else ''}{', '.join(methods)}"
        )
    errors = np.array([[-_accuracy(rows[name]) for name in methods] for rows in ranked])
    return _ranked_over(np.round(errors, _DIGITS), methods, blocks, left_out)


def _are(count: int) -> str:
    return f"{'is' if count == 1 else 'are'} {count or 'none'}"


def _ranked_over(
    errors: Floats, methods: Sequence[str], blocks: Sequence[Board], left_out: Sequence[str]
) -> CriticalDifference:
    """Test [B, K]: the lower a method's value in a block, the better."""
    from scipy.stats import friedmanchisquare, rankdata, studentized_range

    count, k = errors.shape
    average = rankdata(errors, axis=1).mean(axis=0)
    order = sorted(range(k), key=lambda i: (average[i], methods[i]))
    alike = bool((errors == errors[:, :1]).all())  # nothing to divide by
    p = 1.0 if alike else float(friedmanchisquare(*errors.T).pvalue)
    # q of the studentized range over √2: Demšar, equation for CD and table 5a.
    q = float(studentized_range.ppf(1 - SIGNIFICANCE, k, np.inf)) / math.sqrt(2)
    names = tuple(methods[i] for i in order)
    return CriticalDifference(
        methods=names,
        average_ranks=tuple(float(average[i]) for i in order),
        critical_difference=q * math.sqrt(k * (k + 1) / (6 * count)),
        cliques=(names,) if p >= SIGNIFICANCE else _cliques(errors[:, order], names),
        blocks=tuple(_block_title(board) for board in blocks),
        friedman_p=p,
        left_out=tuple(left_out),
    )


def _cliques(errors: Floats, names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return the maximal runs of methods, in the order of average ranks, not told apart."""
    from scikit_posthocs import posthoc_nemenyi_friedman

    p = posthoc_nemenyi_friedman(errors).to_numpy()
    found: list[tuple[str, ...]] = []
    reached = 0
    for start in range(len(names)):
        end = max(j for j in range(start, len(names)) if p[start, j] >= SIGNIFICANCE)
        if end > start and end > reached:  # not within the one before
            found.append(tuple(names[start : end + 1]))
            reached = end
    return tuple(found)


def _blocks(boards: Sequence[Board]) -> list[Board]:
    """Return the board that stands for each block, ordered by data set and heterogeneity."""
    names: dict[str, str] = {}  # of the same data under several paths, one name
    for board in boards:
        data = str(board.scenario["fingerprint"])
        names[data] = min(names.get(data, board.dataset), board.dataset)
    by_block: dict[tuple[str, str, str], list[Board]] = defaultdict(list)
    for board in boards:
        if len(_standing(board)) >= FEWEST_METHODS:
            dataset = names[str(board.scenario["fingerprint"])]
            by_block[(dataset, *_heterogeneity(board))].append(board)
    return [min(rivals, key=_precedence) for _, rivals in sorted(by_block.items())]


def _precedence(board: Board) -> tuple[int, int, int, str]:
    rounds = int(board.scenario["rounds"])
    return -len(_standing(board)), -rounds, -len(board.seeds), board.scenario_id


def _heterogeneity(board: Board) -> tuple[str, str]:
    return written(board.scenario["partition"]), written(board.scenario.get("population"))


def _block_title(board: Board) -> str:
    return " · ".join(part for part in (board.dataset, *_heterogeneity(board)) if part)


def _standing(board: Board) -> dict[str, Row]:
    """Return the row that stands for each algorithm: its only one, or validation's choice."""
    rows: dict[str, Row] = {}
    for row in board.rows:
        if row.rank is not None and (row.chosen or row.algorithm not in rows):
            rows[row.algorithm] = row
    return rows


def _accuracy(row: Row) -> float:
    assert row.measures is not None  # only ranked rows stand for an algorithm
    return row.measures.test_accuracy
