"""How a server takes its clients to relate: kept, scored against the truth, and drawn."""

from __future__ import annotations

from pflbench.relatedness.matrices import (
    Matrices,
    coordinates_of,
    coordinates_table,
    matrices_of,
    relatedness_table,
)
from pflbench.relatedness.score import SCORES, Truth, chance, scores, truth_of

__all__ = [
    "SCORES",
    "Matrices",
    "Truth",
    "chance",
    "coordinates_of",
    "coordinates_table",
    "matrices_of",
    "relatedness_table",
    "scores",
    "truth_of",
]
