"""Leaderboards: one a scenario, derived from the stored runs."""

from __future__ import annotations

from pflbench.leaderboard.board import Board, Measures, Row
from pflbench.leaderboard.build import boards
from pflbench.leaderboard.columns import COLUMN_SETS, ColumnSet
from pflbench.leaderboard.render import FORMATS, Format, render, renderable
from pflbench.leaderboard.spending import Question, Spent
from pflbench.leaderboard.transfer import Comparison, Transfer, transfer

__all__ = [
    "COLUMN_SETS",
    "FORMATS",
    "Board",
    "ColumnSet",
    "Comparison",
    "Format",
    "Measures",
    "Question",
    "Row",
    "Spent",
    "Transfer",
    "boards",
    "render",
    "renderable",
    "transfer",
]
