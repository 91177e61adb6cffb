"""Columns on which rows are told apart, and on the calibration of a row."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from pflbench.analysis.against import Against
from pflbench.analysis.board import Board, Row
from pflbench.analysis.further_metrics import Score
from pflbench.analysis.over_data_sets import (
    CriticalDifference,
    MeanRanks,
    NotEnough,
    critical_difference,
)
from pflbench.analysis.protocol import BASELINE, FEWEST_DATA_SETS, SIGNIFICANCE
from pflbench.analysis.significance import PairedTest
from pflbench.report.tables.entries import (
    METHOD,
    NO_BASELINE,
    NOTHING,
    RANK,
    SEEDS,
    Column,
    accuracy,
    four_digits,
    mean,
    measure,
    points,
)

_SMALLEST_P = 0.001
"""A p value below is written so: its further digits rest on the distribution's far tail."""


def _p(test: PairedTest) -> str:
    if math.isnan(test.p_holm):
        return NOTHING
    return f"< {_SMALLEST_P:g}" if test.p_holm < _SMALLEST_P else f"{test.p_holm:.3f}"


def _difference(test: PairedTest) -> str:
    known = not math.isnan(test.low)
    return points(test.mean_difference, *((test.low, test.high) if known else (None, None)))


def _by_score(score: Score, test: PairedTest) -> str:
    """Write a difference of a metric, and its interval, in the metric's own unit."""

    def signed(value: float) -> str:
        return ("+" if value > 0 else "") + four_digits(value)

    said = test if score.higher_is_better else test.negated()
    if math.isnan(said.low):
        return signed(said.mean_difference)
    return f"{signed(said.mean_difference)} [{signed(said.low)} … {signed(said.high)}]"


def _verdict(test: PairedTest) -> str:
    return test.verdict


def _two_tables(board: Board) -> tuple[Sequence[Column], Sequence[Column]]:
    """Return the columns that compare with the baseline, and with the first row."""
    against = Against(board.compared())
    difference = _difference if board.score is None else partial(_by_score, board.score)
    unknown = NOTHING if any(row.baseline for row in board.rows) else NO_BASELINE

    def local(show: Callable[[PairedTest], str], otherwise: str = NOTHING) -> Callable[[Row], str]:
        def entry(row: Row) -> str:
            test = against.baseline(row)
            if test is not None:
                return show(test)
            return NOTHING if row.measures is None else otherwise

        return entry

    def best(show: Callable[[PairedTest], str], itself: str = NOTHING) -> Callable[[Row], str]:
        def entry(row: Row) -> str:
            test = against.best(row)
            if test is not None:
                return show(test)
            return itself if against.is_best(row) else NOTHING

        return entry

    return (
        (
            Column(f"gain over {BASELINE}", local(difference, unknown)),
            Column(f"p, {BASELINE}", local(_p)),
            Column(f"than {BASELINE}", local(_verdict)),
        ),
        (
            Column("against the first", best(difference)),
            Column("p, first", best(_p)),
            Column("than the first", best(_verdict, "the first")),
        ),
    )


_ACCURACY = (SEEDS, Column("test accuracy", measure(accuracy)))


def tests(board: Board) -> list[Sequence[Column]]:
    """Return the columns on which rows are told apart."""
    local, best = _two_tables(board)
    return [(RANK, METHOD, *_ACCURACY, *local), (METHOD, SEEDS, *best)]


def _three_digits(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def calibration(_: Board) -> list[Sequence[Column]]:
    """Return the columns of calibration."""
    return [
        (
            METHOD,
            *_ACCURACY,
            Column("NLL", mean("nll", _three_digits)),
            Column("Brier", mean("brier", _three_digits)),
            Column("ECE %", mean("ece")),
            Column("NLL by samples", mean("nll_by_samples", _three_digits)),
            Column("Brier by samples", mean("brier_by_samples", _three_digits)),
        )
    ]


def ranking(boards: Sequence[Board]) -> list[str]:
    """Say how methods rank over several boards, or why they are not ranked."""
    if len(boards) < 2:
        return []
    found = critical_difference(boards)
    if isinstance(found, NotEnough):
        return [f"No ranking over boards: {found.reason}."]
    ranks = zip(found.methods, found.average_ranks, strict=True)
    score = boards[0].score
    by = f"by {score.name} " if score else ""
    said = [
        f"Average ranks {by}over {found.extent} (data set × partition × population), averaged "
        "within a data set first: "
        f"{', '.join(f'{name} {rank:.2f}' for name, rank in ranks)}. These are {found.pool}.",
        _test(found),
    ]
    if found.left_out:
        said.append(f"Not on every block: {', '.join(found.left_out)}.")
    said.append(f"Blocks: {'; '.join(found.blocks)}.")
    return said


def _test(found: MeanRanks) -> str:
    """Write which methods are told apart over data sets, or why none are."""
    if not isinstance(found, CriticalDifference):
        return (
            "No test: blocks of one data set are not independent, so independent blocks are "
            f"{len(found.data_sets)}, and a test needs {FEWEST_DATA_SETS}. On fewer, even a method "
            "that is ahead of another on all of them could be ahead by chance."
        )
    known = (
        f"Friedman's test that all are equal, with the data set as unit: p "
        f"{_small(found.friedman_p)}. Critical difference of average ranks (Nemenyi, "
        f"{SIGNIFICANCE:g}): {found.critical_difference:.2f}."
    )
    if found.friedman_p >= SIGNIFICANCE:
        return f"{known} Friedman's test finds no difference, so no two methods are told apart."
    if found.cliques:
        return f"{known} Not told apart: {'; '.join(', '.join(one) for one in found.cliques)}."
    return f"{known} All pairs are told apart."


def _small(p: float) -> str:
    return f"< {_SMALLEST_P:g}" if p < _SMALLEST_P else f"= {p:.3f}"
