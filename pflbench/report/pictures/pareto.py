"""Accuracy against communication: the Pareto front of methods."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pflbench.analysis import Board
from pflbench.errors import InputError
from pflbench.report.pictures.labels import place
from pflbench.report.pictures.looks import Look, key, legend_below, spot
from pflbench.report.pictures.selection import measured, of_seeds
from pflbench.report.pictures.style import (
    ACCURACY,
    FAINT,
    GRID,
    INK,
    SMALL,
    Width,
    canvas,
    drawn,
    gridded,
    inches,
    length,
    log_ticks,
    logarithmic,
    tag,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NEAR: Final = 0.05
"""Costs whose logarithms differ by less are drawn at one place,"""

_ASIDE: Final = 5.0
"""and marks there are moved apart in steps of this number of points."""

_LABELLED: Final = 12
"""With more methods no point has its name next to it."""


@dataclass(frozen=True)
class _Point:
    """A method: megabytes, and accuracy with its interval in percent."""

    look: Look
    cost: float
    accuracy: float
    low: float
    high: float


@drawn
def pareto(
    board: Board, looks: Mapping[str, Look], *, width: Width = "column", title: str = ""
) -> Figure:
    """Draw accuracy, with its t interval over seeds, against the bytes of a run, up and down.

    The stepped line is the Pareto front: methods that no other method matches in accuracy with
    fewer bytes, or beats with as many. A method that sends nothing is at 0, left of the start of
    the logarithmic axis. Methods of equal cost whose intervals would hide each other are moved a
    few points to the sides.

    Parameters
    ----------
    board, looks, width, title
        As in `curves`.

    Raises
    ------
    InputError
        The board has no ranked row, or none that recorded its bytes.
    """
    from matplotlib.transforms import ScaledTranslation

    points = [
        _Point(
            looks[row.label],
            (m.bytes_up + m.bytes_down) / 1e6,
            100 * m.test_accuracy,
            *(100 * (m.test_accuracy if end is None else end) for end in (m.low, m.high)),
        )
        for row, m, _ in measured(board)
        if m.bytes_up is not None and m.bytes_down is not None
    ]
    if not points:
        raise InputError(f"No run of scenario {board.scenario_id} recorded its bytes.")
    size = inches(width)
    figure = canvas(size, min(0.62 * size, 3.4) + 0.1, title)
    axes = figure.subplots()
    unit, zero = _axis(axes, points)
    at = {p.look: p.cost / unit if p.cost > 0 else zero for p in points}
    axes.set_ylabel(f"{ACCURACY}, {of_seeds(board)}")
    gridded(axes)
    front = _front(points)
    _draw_front(axes, [(at[p.look], p.accuracy) for p in front])
    best = {p.look for p in front}
    aside = _aside(points, at)
    for point in points:
        x, look, depth = at[point.look], point.look, 5 if point.look in best else 4
        there = axes.transData + ScaledTranslation(aside[look] / 72, 0, figure.dpi_scale_trans)
        bar = axes.plot(
            [x, x],
            [point.low, point.high],
            color=look.colour,
            linewidth=1.0,
            zorder=depth - 1,
            solid_capstyle="butt",
            transform=there,
        )
        tag(bar[0], look, "interval")
        mark = axes.plot(
            [x],
            [point.accuracy],
            linestyle="",
            zorder=depth,
            transform=there,
            **spot(look, 5.2, color=look.colour),
        )
        tag(mark[0], look, "mark")
    low, high = min(p.low for p in points), max(p.high for p in points)
    room = 0.07 * max(high - low, 2.0)
    axes.set_ylim(low - room, min(high + room, 100 + room))
    if len(points) > _LABELLED or not _labelled(figure, axes, points, at, aside):
        from matplotlib.lines import Line2D

        handles: dict[Look, Artist] = {p.look: key(p.look, with_line=False) for p in points}
        legend_below(figure, handles, [Line2D([], [], label="Pareto front", **_FRONT)])
    return figure


_FRONT: Final[dict[str, Any]] = {"color": FAINT, "linewidth": 0.9, "linestyle": (0, (4, 1.5))}


def _axis(axes: Axes, points: Sequence[_Point]) -> tuple[float, float]:
    """Lay out the axis of bytes; return its unit in MB, and the position of 0."""
    costs = np.array([p.cost for p in points if p.cost > 0])
    unit, name = (1e3, "GB") if len(costs) and costs.min() >= 1e4 else (1.0, "MB")
    axes.set_xlabel(f"{name} up and down, whole run")
    if not len(costs):
        axes.set_xlim(-1, 1)
        axes.set_xticks([0])
        return unit, 0.0
    costs = costs / unit
    low, high = float(costs.min()), float(costs.max())
    spread = max(high / low, 3.0)
    middle = (low * high) ** 0.5
    low, high = middle / spread**0.5, middle * spread**0.5
    nothing = len(costs) < len(points)
    step = (high / low) ** 0.16
    zero = low / step**2.2 if nothing else low
    logarithmic(axes, (zero if nothing else low) / step**0.8, high * step)
    if nothing:
        _zero(axes, zero, low / step**1.1)
    return unit, zero


def _zero(axes: Axes, zero: float, end: float) -> None:
    """Put a separate 0 left of the end of a logarithmic axis."""
    left, right = axes.get_xlim()
    major, minor = log_ticks(end * 1.1, right)
    axes.set_xticks([zero, *major], ["0", *(f"{tick:,.10g}" for tick in major)])
    axes.set_xticks(minor, minor=True)
    axes.set_xlim(left, right)
    axes.axvline(end, color=GRID, linewidth=3.2, zorder=1)
    axes.plot(
        [end],
        [0],
        transform=axes.get_xaxis_transform(),
        clip_on=False,
        marker=(2, 0, -20),
        markersize=6,
        color=INK,
        linewidth=0,
        markeredgewidth=0.6,
    )


def _front(points: Sequence[_Point]) -> list[_Point]:
    """Return the points of the Pareto front, the cheapest first."""
    front: list[_Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.accuracy)):
        if not front or point.accuracy > front[-1].accuracy:
            front.append(point)
    return front


def _draw_front(axes: Axes, front: Sequence[tuple[float, float]]) -> None:
    """Draw the steps: the best accuracy for at most this number of bytes."""
    xs, ys = zip(*_steps(axes, front), strict=True)
    axes.plot(xs, ys, zorder=2, **_FRONT)[0].set_gid("front")


def _steps(axes: Axes, front: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the corners of the front's line, up to the end of the axis."""
    corners = [front[0]]
    for x, y in front[1:]:
        corners += [(x, corners[-1][1]), (x, y)]
    return [*corners, (axes.get_xlim()[1], corners[-1][1])]


def _aside(points: Sequence[_Point], at: Mapping[Look, float]) -> dict[Look, float]:
    """Return the shift of each mark in points, so that intervals do not hide each other.

    Of marks at one cost whose intervals overlap, the most accurate stays where it is.
    """
    found: dict[Look, float] = {}
    done: list[tuple[_Point, int]] = []
    for point in sorted(points, key=lambda p: -p.accuracy):
        x = at[point.look]
        near = {
            slot
            for other, slot in done
            if abs(math.log((at[other.look] or 1) / (x or 1))) < _NEAR
            and point.low <= other.high
            and other.low <= point.high
        }
        slot = next(n for n in itertools.count() if n not in near)
        done.append((point, slot))
        found[point.look] = _ASIDE * (-(-slot // 2)) * (1 if slot % 2 else -1)
    return found


def _labelled(
    figure: Figure,
    axes: Axes,
    points: Sequence[_Point],
    at: Mapping[Look, float],
    aside: Mapping[Look, float],
) -> bool:
    """Write names next to points; return whether all names found a place."""
    figure.draw_without_rendering()  # the axes' area is known from here on
    dots = figure.dpi / 72
    places = axes.transData.transform([(at[p.look], p.accuracy) for p in points])
    places += [(aside[p.look] * dots, 0) for p in points]
    lows = axes.transData.transform([(at[p.look], p.low) for p in points])[:, 1]
    highs = axes.transData.transform([(at[p.look], p.high) for p in points])[:, 1]
    blocked = [
        box
        for (x, y), low, high in zip(places, lows, highs, strict=True)
        for box in (
            (x - 3 * dots, y - 3 * dots, x + 3 * dots, y + 3 * dots),
            (x - dots, low, x + dots, high),
        )
    ]
    step = axes.transData.transform(
        _steps(axes, [(at[p.look], p.accuracy) for p in _front(points)])
    )
    for (x0, y0), (x1, y1) in itertools.pairwise(step):  # no name on the front's line
        blocked.append(
            (min(x0, x1) - dots, min(y0, y1) - dots, max(x0, x1) + dots, max(y0, y1) + dots)
        )
    area = axes.get_window_extent()
    sizes = [
        (length(p.look.label, SMALL) * figure.dpi + 2 * dots, (SMALL + 1.5) * dots) for p in points
    ]
    edges = (area.x0 + 2 * dots, area.y0 + 2 * dots, area.x1, area.y1)
    found = place([(x, y) for x, y in places], sizes, edges, blocked, 5 * dots)
    if found is None:
        return False
    back = axes.transData.inverted()
    for point, (x, y), label in zip(points, places, found, strict=True):
        left, right = label.x, label.x + label.width
        x_text, y_text = back.transform((left + dots, label.y))
        words = axes.text(
            x_text, y_text, point.look.label, fontsize=SMALL, va="center_baseline", zorder=6
        )
        words.set_in_layout(False)
        tag(words, point.look, "name")
        near = (min(max(x, left), right), label.y)
        if np.hypot(near[0] - x, near[1] - y) > 9 * dots:
            ends = back.transform([(x, y), near])
            thread = axes.plot(ends[:, 0], ends[:, 1], color=FAINT, linewidth=0.4, zorder=1.5)
            tag(thread[0], point.look, "thread")
    return True
