"""Each client's gain over the baseline: which clients a method helps and hurts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from pflbench.analysis import Board
from pflbench.analysis.protocol import BASELINE
from pflbench.report.pictures.looks import Look, key, legend_below, line, spot
from pflbench.report.pictures.selection import gains_over, of_seeds
from pflbench.report.pictures.style import (
    FAINT,
    HURT,
    INK,
    SMALL,
    Width,
    canvas,
    drawn,
    gridded,
    inches,
    tag,
    thousands,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@drawn
def gains(
    board: Board, looks: Mapping[str, Look], *, width: Width = "column", title: str = ""
) -> Figure:
    """Draw the gains over the baseline of all clients and seeds, each row's sorted.

    A line is in the shaded part as long as clients lose with the method; its marker is at the end
    of this part, the share of clients that are hurt, which the legend gives as a number.

    Parameters
    ----------
    board, looks, width, title
        As in `curves`.

    Raises
    ------
    InputError
        The baseline's row is missing or incomplete, or the only one.
    """
    rows = gains_over(board)
    size = inches(width)
    figure = canvas(size, min(0.62 * size, 3.4) + 0.1, title)
    axes = figure.subplots()
    handles = {}
    for place, (row, measures, gained) in enumerate(rows):
        look = looks[row.label]
        depth = 3 - 0.01 * place
        points = np.sort(100 * gained.ravel())
        at = 100 * (np.arange(len(points)) + 0.5) / len(points)
        few = spot(look, 2.5) if len(points) == 1 else {}
        own = axes.plot(at, points, zorder=depth, **line(look, linewidth=1.1), **few)[0]
        tag(own, look, "line")
        hurt = 100 * (measures.hurt or 0.0)
        mark = axes.plot(
            [hurt],
            [0],
            linestyle="",
            zorder=depth + 1,
            clip_on=False,
            **spot(look, color=look.colour),
        )
        tag(mark[0], look, "mark")
        handles[look] = key(look)
        handles[look].set_label(f"{look.label}: {hurt:.1f} % hurt")
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -0.06 * (high - low)), max(high, 0.06 * (high - low)))
    axes.axhspan(-200, 0, color=HURT, linewidth=0, zorder=0)
    axes.axhline(0, color=INK, linewidth=0.7, zorder=2)
    axes.set_xlim(0, 100)
    axes.set_xlabel(f"clients of {of_seeds(board)}, sorted by gain (%)")
    axes.set_ylabel(f"gain over {BASELINE} (points)")
    thousands(axes.yaxis, sign=True)
    gridded(axes)
    axes.text(
        0.985,
        0.03,
        "hurt",
        transform=axes.transAxes,
        ha="right",
        va="bottom",
        color=FAINT,
        fontsize=SMALL,
        style="italic",
        zorder=1.5,
    )
    legend_below(figure, handles)
    return figure
