"""Matrices: methods × scenarios × seeds, from a file or from options; nothing heavy is imported."""

from __future__ import annotations

from pflbench.experiments.grid.grid_record import Matrix, Point, TuningPlan, seeds_apart
from pflbench.experiments.grid.reading import read_matrix

__all__ = ["Matrix", "Point", "TuningPlan", "read_matrix", "seeds_apart"]
