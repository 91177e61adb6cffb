"""Matrices: methods × scenarios × seeds, from a file or from options; nothing heavy is imported."""

from __future__ import annotations

from pflbench.matrix.reading import read_matrix
from pflbench.matrix.record import Matrix, Point, TuningPlan, seeds_apart

__all__ = ["Matrix", "Point", "TuningPlan", "read_matrix", "seeds_apart"]
