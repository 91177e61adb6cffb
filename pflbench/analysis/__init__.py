"""Leaderboards: one a scenario, derived from the stored runs."""

from __future__ import annotations

from pflbench.analysis.board import Board, Measures, Row
from pflbench.analysis.costs import Question, Spent
from pflbench.analysis.make_boards import boards
from pflbench.analysis.over_data_sets import (
    CriticalDifference,
    MeanRanks,
    NotEnough,
    critical_difference,
)
from pflbench.analysis.significance import PairedTest, paired_tests
from pflbench.analysis.stored_boards import leaderboard
from pflbench.analysis.transfer import Comparison, Transfer, transfer
from pflbench.analysis.tuning_notes import with_tuning

__all__ = [
    "Board",
    "Comparison",
    "CriticalDifference",
    "MeanRanks",
    "Measures",
    "NotEnough",
    "PairedTest",
    "Question",
    "Row",
    "Spent",
    "Transfer",
    "boards",
    "critical_difference",
    "leaderboard",
    "paired_tests",
    "transfer",
    "with_tuning",
]
