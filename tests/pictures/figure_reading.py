"""Reading numbers back from figures."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

from pflbench.report.pictures import Look
from pflbench.report.pictures.style import styled


def artist(figure: Figure, look: Look, part: str) -> Any:
    """Return what is drawn of a method."""
    (found,) = figure.findobj(lambda a: a.get_gid() == f"method-{look.number}-{part}")
    return found


def parts(figure: Figure, part: str) -> list[Any]:
    """Return one part of all methods."""
    ending = f"-{part}"
    return [
        a
        for a in figure.findobj(lambda a: bool(a.get_gid()))
        if str(a.get_gid()).startswith("method-") and str(a.get_gid()).endswith(ending)
    ]


def data(line: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a line's points."""
    return np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)


def words(figure: Figure) -> list[str]:
    """Return all texts that are shown, in one line each."""
    found = figure.findobj(Text)
    return [t.get_text().replace("\n", " ") for t in found if t.get_visible() and t.get_text()]


def _off_the_axis(figure: Figure) -> set[int]:
    """Return the texts of ticks that no axis shows, since they are beyond its ends."""
    found = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not low <= tick.get_loc() <= high:
                    found |= {id(tick.label1), id(tick.label2)}
    return found


def boxes(figure: Figure) -> dict[str, NDArray[np.float64]]:
    """Return where each text lies, in pixels: left, bottom, right, top."""
    with styled():
        figure.draw_without_rendering()
        hidden = _off_the_axis(figure)
        return {
            f"{i}: {text.get_text()}": text.get_window_extent().extents
            for i, text in enumerate(figure.findobj(Text))
            if text.get_visible() and text.get_text().strip() and id(text) not in hidden
        }


def colliding(figure: Figure) -> list[tuple[str, str]]:
    """Return pairs of texts that lie on each other by more than a pixel."""
    found = list(boxes(figure).items())
    return [
        (a, b)
        for i, (a, one) in enumerate(found)
        for b, other in found[i + 1 :]
        if one[0] + 1 < other[2]
        and other[0] + 1 < one[2]
        and one[1] + 1 < other[3]
        and other[1] + 1 < one[3]
    ]


def outside(figure: Figure) -> list[str]:
    """Return texts that reach beyond the figure by more than a pixel."""
    edge = figure.bbox.extents
    return [
        text
        for text, box in boxes(figure).items()
        if box[0] < edge[0] - 1
        or box[1] < edge[1] - 1
        or box[2] > edge[2] + 1
        or box[3] > edge[3] + 1
    ]
