"""Labels next to points, without overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Box = tuple[float, float, float, float]
"""Left, bottom, right, top."""


@dataclass(frozen=True)
class Placed:
    """The place of a label: its left end and the middle of its height."""

    x: float
    y: float
    width: float
    height: float

    @property
    def box(self) -> Box:
        """The area that it covers."""
        return (self.x, self.y - self.height / 2, self.x + self.width, self.y + self.height / 2)


def place(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    within: Box,
    blocked: Sequence[Box],
    gap: float,
) -> list[Placed] | None:
    """Find a place next to each point for its label.

    The first point chooses first. Each label tries the right, the left, above and below, then
    further and further away.

    Parameters
    ----------
    points, sizes
        By label: its point, and its width and height; in one unit, as everything here.
    within
        The area that labels may cover,
    blocked
        and the parts of it that they may not.
    gap
        Between a point and the nearest label.

    Returns
    -------
    By label; None if one finds no place.
    """
    taken = list(blocked)
    found = []
    for (x, y), (width, height) in zip(points, sizes, strict=True):
        own = next(
            (
                candidate
                for dx, dy in _ways(width, height, gap)
                if _fits((candidate := Placed(x + dx, y + dy, width, height)).box, within, taken)
            ),
            None,
        )
        if own is None:
            return None
        taken.append(own.box)
        found.append(own)
    return found


def _ways(width: float, height: float, gap: float) -> list[tuple[float, float]]:
    """Return offsets of a label's left end and middle from its point, nearest first."""
    right, left, centred = gap, -gap - width, -width / 2
    ways = [(right, 0.0), (left, 0.0), (centred, gap + height / 2), (centred, -gap - height / 2)]
    for step in range(1, 9):
        dy = 0.55 * height * step
        for side in (right + 0.2 * dy, left - 0.2 * dy):
            ways += [(side, dy), (side, -dy)]
    return ways


def _fits(box: Box, within: Box, taken: Sequence[Box]) -> bool:
    inside = (
        box[0] >= within[0] and box[1] >= within[1] and box[2] <= within[2] and box[3] <= within[3]
    )
    return inside and not any(
        box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
        for other in taken
    )
