"""Overlapping lines: the lower one is drawn thicker, so that both are visible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from pflbench.results.measures import Floats

_HEIGHT: Final = 0.3
"""Points of accuracy that hidden lines differ by on average, at most."""

_COST: Final = 0.01
"""Share of the larger cost by which they differ, at most."""

USUAL, THICK = 1.2, 2.8

BANDS: Final = 12
"""Of more methods, bands would hide each other: lines alone are drawn."""


def widths(lines: Sequence[tuple[Floats, Floats]]) -> list[float]:
    """Return line widths in points.

    Parameters
    ----------
    lines
        Costs [R] and accuracies [R] in percent, the uppermost line first.
    """
    return [
        THICK if any(_hides(above, line) for above in lines[:i]) else USUAL
        for i, line in enumerate(lines)
    ]


def _hides(one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> bool:
    (x, y), (other_x, other_y) = one, other
    if len(x) != len(other_x):
        return False
    apart = float(np.abs(x - other_x).max())
    close = float(np.abs(y - other_y).mean()) < _HEIGHT
    return close and apart <= _COST * max(float(x[-1]), float(other_x[-1]))
