"""The distribution of accuracy over clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from pflbench.analysis import Board, Measures, Row
from pflbench.report.pictures.looks import Look, named_rows
from pflbench.report.pictures.selection import measured, of_seeds
from pflbench.report.pictures.style import (
    ACCURACY,
    FAINT,
    INK,
    PAPER,
    Width,
    canvas,
    drawn,
    gridded,
    inches,
    tag,
)
from pflbench.results.measures import WORST_SHARE, Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GRID: Final = 96
"""Points of a density's outline."""

_FEW: Final = 8
"""Of fewer values no density is drawn, but each value."""


@drawn
def spread(
    board: Board, looks: Mapping[str, Look], *, width: Width = "column", title: str = ""
) -> Figure:
    """Draw the distribution over clients of each ranked row, the best row first.

    Each shape is a density of the clients' test accuracies at the selected round, all seeds
    together; its dark end is the worst tenth of them. A bar spans the middle half, with the median
    as a gap. The method's marker is the mean, and an upright line the mean of the worst tenth, both
    as on the board.

    Parameters
    ----------
    board, looks, width, title
        As in `curves`.

    Raises
    ------
    InputError
        The board has no ranked row.
    """
    rows = measured(board)
    size = inches(width)
    figure = canvas(size, 1.0, title)
    axes = figure.subplots()
    pitch, half = named_rows(axes, [looks[row.label] for row, _, _ in rows], size)
    figure.set_figheight(0.42 + pitch * len(rows) + (0.2 if title else 0.0))
    for place, (row, measures, accuracies) in enumerate(rows):
        _method(axes, looks[row.label], place, 100 * accuracies, measures, half)
    axes.set_xlabel(f"{ACCURACY}, {of_seeds(board)}")
    gridded(axes, "x")
    _key(figure)
    _limits(axes, rows)
    return figure


def _limits(axes: Axes, rows: Sequence[tuple[Row, Measures, Floats]]) -> None:
    low = 100 * min(float(values.min()) for _, _, values in rows)
    high = 100 * max(float(values.max()) for _, _, values in rows)
    room = 0.03 * max(high - low, 1.0)
    axes.set_xlim(max(low - room, -1.0), min(high + room, 101.0))


def _method(
    axes: Axes, look: Look, place: int, values: Floats, measures: Measures, half: float
) -> None:
    """Draw a row: its values [S, N] in percent, in a shape of half a height."""
    every = np.sort(values.ravel())
    density = _density(every)
    if density is None:
        dots = axes.plot(
            every,
            np.full(len(every), place),
            linestyle="",
            marker="o",
            markersize=3,
            color=look.colour,
            alpha=0.5,
            markeredgewidth=0,
        )
        tag(dots[0], look, "clients")
    else:
        at, height = density
        worst = at <= every[-(-len(every) // WORST_SHARE) - 1]
        for part, here, alpha in (("clients", ~worst, 0.28), ("worst", worst, 0.75)):
            if here.any():
                here = here | np.roll(here, -1) if part == "clients" else here
                shape = axes.fill_between(
                    at[here],
                    place - half * height[here],
                    place + half * height[here],
                    color=look.colour,
                    alpha=alpha,
                    linewidth=0,
                    zorder=2,
                )
                tag(shape, look, part)
        low, middle, high = np.percentile(every, (25, 50, 75))
        bar = axes.plot(
            [low, high],
            [place, place],
            color=look.colour,
            linewidth=2.4,
            zorder=3,
            solid_capstyle="butt",
        )
        tag(bar[0], look, "half")
        gap = axes.plot(
            [middle],
            [place],
            linestyle="",
            marker="|",
            markersize=4.5,
            zorder=4,
            color=PAPER,
            markeredgewidth=1.0,
        )
        tag(gap[0], look, "median")
    tenth = 100 * measures.worst_tenth
    mark = axes.plot(
        [tenth, tenth],
        [place - 0.95 * half, place + 0.95 * half],
        color=INK,
        linewidth=0.9,
        zorder=4,
        solid_capstyle="butt",
    )
    tag(mark[0], look, "tenth")
    mean = axes.plot(
        [100 * measures.test_accuracy],
        [place],
        linestyle="",
        zorder=5,
        marker=look.marker,
        markersize=4.6,
        markerfacecolor=PAPER,
        markeredgecolor=look.colour,
        markeredgewidth=1.0,
    )
    tag(mean[0], look, "mean")


def _density(values: Floats) -> tuple[Floats, Floats] | None:
    """Return places and heights in [0, 1] of a density; None with too few values."""
    if len(values) < _FEW or values[-1] - values[0] < 1e-9:
        return None
    from scipy.stats import gaussian_kde

    at = np.linspace(values[0], values[-1], _GRID)
    height = gaussian_kde(values, lambda kde: 0.75 * kde.scotts_factor())(at)
    return at, np.asarray(height / height.max(), dtype=np.float64)


def _key(figure: Figure) -> None:
    """Explain the marks, below the axis."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            marker="o",
            markerfacecolor=PAPER,
            markeredgecolor=FAINT,
            label="mean",
        ),
        Line2D([], [], color=FAINT, linewidth=2.4, label="middle half"),
        Patch(facecolor=FAINT, alpha=0.75, label="worst tenth,"),
        Line2D([], [], linestyle="", marker="|", markersize=7, color=INK, label="its mean"),
    ]
    figure.set_figheight(float(figure.get_figheight()) + 0.17)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles),
        handlelength=1.3,
        columnspacing=1.0,
    )
