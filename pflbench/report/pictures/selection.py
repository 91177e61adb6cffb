"""Selections of a board's rows for several pictures."""

from __future__ import annotations

import numpy as np

from pflbench.analysis import Board, Measures, Row
from pflbench.analysis.protocol import BASELINE
from pflbench.errors import InputError
from pflbench.results.measures import Floats


def measured(board: Board) -> list[tuple[Row, Measures, Floats]]:
    """Return the ranked rows, best first, with their numbers and clients' accuracies [S, N].

    Raises
    ------
    InputError
        The board has none.
    """
    found = [
        (row, row.measures, row.accuracies)
        for row in board.rows
        if row.measures is not None and row.accuracies is not None
    ]
    if not found:
        raise InputError(
            f"Scenario {board.scenario_id} ({board.title}) has nothing to draw: none of its rows "
            "is complete."
        )
    return found


def of_seeds(board: Board) -> str:
    """Say over how many seeds a board's means are."""
    count = len(board.seeds)
    return f"{count} seed{'' if count == 1 else 's'}"


def gains_over(board: Board) -> list[tuple[Row, Measures, Floats]]:
    """Return the ranked rows but the baseline's, with gains over it [S, N], by seed and client.

    Raises
    ------
    InputError
        The baseline's row is missing or incomplete, or the only one.
    """
    rows = measured(board)
    base = [accuracies for row, _, accuracies in rows if row.baseline]
    if not base:
        raise InputError(
            f"Scenario {board.scenario_id} ({board.title}) has no complete row of {BASELINE} to "
            f"compare clients with: run {BASELINE} with the same seeds."
        )
    (local,) = base
    found = [
        (row, measures, np.asarray(accuracies - local, dtype=np.float64))
        for row, measures, accuracies in rows
        if not row.baseline
    ]
    if not found:
        raise InputError(
            f"Scenario {board.scenario_id} ({board.title}) has no complete row except that of "
            f"{BASELINE}: nothing to compare with it."
        )
    return found
