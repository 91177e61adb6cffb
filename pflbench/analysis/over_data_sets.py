"""Methods ranked over several boards, with the data set as the unit.

Partitions of one data set share its images, its difficulty and its network, so their orders of
methods are not independent. A method's ranks are first averaged over the blocks of a data set, and
a data set counts once. Friedman's and Nemenyi's tests, recommended by Demšar (Statistical
comparisons of classifiers over multiple data sets, JMLR 7, 2006), need enough data sets. They are
computed for such mean ranks, in the form that permutes the scores of a block; where every data set
has one block without ties, they are the usual ones.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pflbench.analysis.board import Board, Row
from pflbench.analysis.protocol import FEWEST_DATA_SETS, FEWEST_METHODS, SIGNIFICANCE
from pflbench.analysis.row_names import written
from pflbench.results.measures import Floats

_DIGITS = 12
"""Accuracies are fractions of small numbers: smaller differences are rounding."""


@dataclass(frozen=True)
class MeanRanks:
    """Methods ranked over data sets, without a test.

    Attributes
    ----------
    methods, average_ranks
        Algorithms and their average ranks over data sets, best first; 1 is the best. The ranks are
        among these methods: another pool of methods gives other ranks.
    data_sets
        The independent blocks.
    blocks
        The blocks of the ranking, data set × heterogeneity, one title each.
    left_out
        Algorithms with numbers on some blocks, but not on all.
    """

    methods: tuple[str, ...]
    average_ranks: tuple[float, ...]
    data_sets: tuple[str, ...]
    blocks: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    @property
    def extent(self) -> str:
        """Numbers of data sets and blocks, in words."""
        sets, blocks = len(self.data_sets), len(self.blocks)
        return f"{sets} data set{'' if sets == 1 else 's'} with {blocks} blocks"

    @property
    def pool(self) -> str:
        """The pool on which the ranks depend, in words."""
        return f"ranks among these {len(self.methods)} methods; another pool gives other ranks"


@dataclass(frozen=True)
class CriticalDifference(MeanRanks):
    """Methods ranked over enough data sets for a test.

    Attributes
    ----------
    critical_difference
        Average ranks that differ by less are not told apart (Nemenyi).
    cliques
        Maximal sets of two or more methods that are not told apart. If Friedman's test finds no
        difference, it is one set of all methods.
    friedman_p
        Of Friedman's test that all methods are equal.
    """

    critical_difference: float = math.nan
    cliques: tuple[tuple[str, ...], ...] = ()
    friedman_p: float = math.nan


@dataclass(frozen=True)
class NotEnough:
    """Too few boards to rank methods over; `reason` says why, in one sentence."""

    reason: str


def critical_difference(boards: Iterable[Board]) -> CriticalDifference | MeanRanks | NotEnough:
    """Rank methods over data sets, and test them if the data sets are enough (Friedman, Nemenyi).

    A block is a data set with a heterogeneity: partition and population. Boards of one block, that
    differ only in rounds, learning rate, model or similar settings, share its data and would count
    one experiment several times. The one with the most compared algorithms represents them; ties go
    to the most rounds, then to the most seeds. A board with fewer than three algorithms is no
    block.

    Rows rank by test accuracy, or by the boards' score. Methods are the algorithms with numbers in
    every block. If an algorithm has several rows, the one with the best validation accuracy
    represents it. A method's rank on a data set is its mean rank over the data set's blocks.

    Returns
    -------
    CriticalDifference | MeanRanks | NotEnough
        The last with fewer than two blocks or three methods, the second with fewer than six data
        sets.
    """
    blocks = _blocks(list(boards))
    if len(blocks) < 2:
        return NotEnough(
            f"2 blocks (data set × partition × population) with at least {FEWEST_METHODS} "
            f"methods are needed, and there {_are(len(blocks))}"
        )
    ranked = [(board, _standing(board)) for _, board in blocks]
    standing = [set(rows) for _, rows in ranked]
    methods = sorted(set.intersection(*standing))
    if len(methods) < FEWEST_METHODS:
        return NotEnough(
            f"{FEWEST_METHODS} methods with numbers on each of {len(blocks)} blocks are "
            f"needed, and there {_are(len(methods))}{': ' if methods else ''}{', '.join(methods)}"
        )
    errors = np.array([[-_number(board, rows[n]) for n in methods] for board, rows in ranked])
    names = [name for name, _ in blocks]
    by_data_set, ties = _by_data_set(np.round(errors, _DIGITS), names)
    average = by_data_set.mean(axis=0)
    order = sorted(range(len(methods)), key=lambda i: (average[i], methods[i]))
    found = MeanRanks(
        methods=tuple(methods[i] for i in order),
        average_ranks=tuple(float(average[i]) for i in order),
        data_sets=tuple(dict.fromkeys(names)),
        blocks=tuple(_block_title(board) for _, board in blocks),
        left_out=tuple(sorted(set.union(*standing) - set(methods))),
    )
    if len(found.data_sets) < FEWEST_DATA_SETS:
        return found
    return _tested(found, by_data_set[:, order], ties)


def _by_data_set(errors: Floats, names: Sequence[str]) -> tuple[Floats, Floats]:
    """Rank errors [B, K] within blocks; average over the blocks of a data set.

    Returns
    -------
    tuple[Floats, Floats]
        Mean ranks [D, K], and the variance [D] that they would have more if ties were broken.
    """
    from scipy.stats import rankdata

    within, of = rankdata(errors, axis=1), np.array(names)
    k = errors.shape[1]
    lost = k * (k + 1) / 12 - within.var(axis=1, ddof=1)
    parts = [of == name for name in dict.fromkeys(names)]
    ranks = np.array([within[part].mean(axis=0) for part in parts])
    return ranks, np.array([lost[part].mean() / part.sum() for part in parts])


def _tested(found: MeanRanks, ranks: Floats, ties: Floats) -> CriticalDifference:
    """Test mean ranks [D, K], the methods best first.

    Friedman's test takes ties as they are, and Nemenyi's as if they were broken, as is usual.
    """
    from scipy.stats import chi2, studentized_range

    count, k = ranks.shape
    variance = ranks.var(axis=1, ddof=1)  # k (k + 1) / 12, of ranks without ties
    away = float(((ranks.mean(axis=0) - (k + 1) / 2) ** 2).sum())
    p = 1.0 if not variance.any() else float(chi2.sf(count**2 * away / variance.sum(), k - 1))
    # q of the studentized range over √2: Demšar, equation for CD and table 5a.
    q = float(studentized_range.ppf(1 - SIGNIFICANCE, k, np.inf)) / math.sqrt(2)
    difference = q * math.sqrt(2 * float((variance + ties).sum())) / count
    return CriticalDifference(
        methods=found.methods,
        average_ranks=found.average_ranks,
        data_sets=found.data_sets,
        blocks=found.blocks,
        left_out=found.left_out,
        critical_difference=difference,
        cliques=(found.methods,) if p >= SIGNIFICANCE else _cliques(found, difference),
        friedman_p=p,
    )


def _cliques(found: MeanRanks, difference: float) -> tuple[tuple[str, ...], ...]:
    """Return the maximal runs of methods, in the order of average ranks, not told apart."""
    ranks = found.average_ranks
    cliques: list[tuple[str, ...]] = []
    reached = 0
    for start in range(len(ranks)):
        end = max(j for j in range(start, len(ranks)) if ranks[j] - ranks[start] < difference)
        if end > start and end > reached:  # not within the one before
            cliques.append(found.methods[start : end + 1])
            reached = end
    return tuple(cliques)


def _blocks(boards: Sequence[Board]) -> list[tuple[str, Board]]:
    """Return each block's data set and the board that represents it, ordered by both."""
    names: dict[str, str] = {}  # of the same data under several paths, one name
    for board in boards:
        data = str(board.scenario["fingerprint"])
        names[data] = min(names.get(data, board.dataset), board.dataset)
    by_block: dict[tuple[str, str, str], list[Board]] = defaultdict(list)
    for board in boards:
        if len(_standing(board)) >= FEWEST_METHODS:
            dataset = names[str(board.scenario["fingerprint"])]
            by_block[(dataset, *_heterogeneity(board))].append(board)
    return [(key[0], min(rivals, key=_precedence)) for key, rivals in sorted(by_block.items())]


def _precedence(board: Board) -> tuple[int, int, int, str]:
    rounds = int(board.scenario["rounds"])
    return -len(_standing(board)), -rounds, -len(board.seeds), board.scenario_id


def _heterogeneity(board: Board) -> tuple[str, str]:
    return written(board.scenario["partition"]), written(board.scenario.get("population"))


def _block_title(board: Board) -> str:
    return " · ".join(part for part in (board.dataset, *_heterogeneity(board)) if part)


def _standing(board: Board) -> dict[str, Row]:
    """Return the row that represents each algorithm: its only one, or validation's choice."""
    rows: dict[str, Row] = {}
    for row in board.rows:
        if not _has_number(board, row):
            continue
        if row.chosen or row.algorithm not in rows:
            rows[row.algorithm] = row
    return rows


def _has_number(board: Board, row: Row) -> bool:
    return row.measures is not None and (board.score is None or row.scored is not None)


def _number(board: Board, row: Row) -> float:
    """Return the number that ranks a row on its board: higher is better."""
    if board.score is not None:
        assert row.scored is not None  # only rows with numbers represent an algorithm
        return float(row.scored.mean())
    assert row.measures is not None  # likewise
    return row.measures.test_accuracy


def _are(count: int) -> str:
    return f"{'is' if count == 1 else 'are'} {count or 'none'}"
