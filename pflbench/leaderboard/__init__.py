"""Leaderboards: one a scenario, derived from the stored runs."""

from __future__ import annotations

from pflbench.leaderboard.board import Board, Measures, Row
from pflbench.leaderboard.build import boards
from pflbench.leaderboard.columns import COLUMN_SETS, ColumnSet
from pflbench.leaderboard.over_data_sets import (
    CriticalDifference,
    MeanRanks,
    NotEnough,
    critical_difference,
)
from pflbench.leaderboard.render import FORMATS, Format, render, renderable, renderable_together
from pflbench.leaderboard.significance import PairedTest, paired_tests
from pflbench.leaderboard.spending import Question, Spent
from pflbench.leaderboard.transfer import Comparison, Transfer, transfer
from pflbench.leaderboard.tuned import with_tuning

__all__ = [
    "COLUMN_SETS",
    "FORMATS",
    "Board",
    "ColumnSet",
    "Comparison",
    "CriticalDifference",
    "Format",
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
    "paired_tests",
    "render",
    "renderable",
    "renderable_together",
    "transfer",
    "with_tuning",
]
