"""Leaderboards: one a scenario, derived from the stored runs."""

from __future__ import annotations

from pflbench.leaderboard.board import Board, Measures, Row
from pflbench.leaderboard.build import boards
from pflbench.leaderboard.render import FORMATS, Format, render, renderable

__all__ = ["FORMATS", "Board", "Format", "Measures", "Row", "boards", "render", "renderable"]
