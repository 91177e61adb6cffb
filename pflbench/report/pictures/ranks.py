"""Average ranks over data sets, and methods not told apart if the data sets are enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from pflbench.analysis import CriticalDifference, MeanRanks, NotEnough
from pflbench.analysis.protocol import FEWEST_DATA_SETS, SIGNIFICANCE
from pflbench.errors import InputError
from pflbench.report.pictures.looks import Look, look_of_algorithm, spot
from pflbench.report.pictures.style import (
    FAINT,
    INK,
    SMALL,
    Width,
    canvas,
    drawn,
    folded,
    inches,
    length,
    shortened,
    tag,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STEP: Final = 0.16
"""Inches between two labels."""

_BAR: Final = 0.075
"""Inches between two bars of methods that are not told apart."""

_LINE: Final = 0.13
"""Inches between two lines of the note."""

_TOP, _BOTTOM, _GAP, _ABOVE_LABELS = 0.42, 0.20, 0.10, 0.13
"""Inches above the axis, below the last label, next to a label, above the first label."""


@drawn
def ranks(
    found: MeanRanks | NotEnough,
    looks: Mapping[str, Look],
    *,
    width: Width = "column",
    title: str = "",
) -> Figure:
    """Draw average ranks as Demšar does (JMLR 7, 2006, figure 1): the best is on the left.

    A thick bar joins methods that are not told apart by Nemenyi's test; above the axis is the
    critical difference. With too few data sets for a test both are missing.

    Parameters
    ----------
    found
        As `pflbench.analysis.critical_difference` makes it.
    looks, width, title
        As in `curves`.

    Raises
    ------
    InputError
        Too few boards to rank methods over, for the reason in `found`.
    """
    if isinstance(found, NotEnough):
        raise InputError(f"Ranks cannot be drawn: {found.reason}.")
    size = inches(width)
    k = len(found.methods)
    left = -(-k // 2)  # the better half
    own = [look_of_algorithm(looks, name) for name in found.methods]
    names = [shortened(look.label, 0.32 * size, SMALL) for look in own]
    values = [f"{rank:.2f}" for rank in found.average_ranks]
    texts = [f"{name}  {value}" for name, value in zip(names, values, strict=True)]
    margins = [
        max((length(text, SMALL) for text in part), default=0.0) + _GAP
        for part in (texts[:left], texts[left:])
    ]
    cliques = found.cliques if isinstance(found, CriticalDifference) else ()
    levels = _levels(found.methods, cliques)
    head = _ABOVE_LABELS + _BAR * (max(levels, default=-1) + 1)
    extra = 0.2 if title else 0.0
    note = folded(_note(found), size - 0.1, SMALL)
    height = _TOP + head + _STEP * left + _BOTTOM + _LINE * note.count("\n")
    figure = canvas(size, height + extra, title)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, height / (height + extra)))
    axes.set_axis_off()
    axes.set_xlim(0, size)
    axes.set_ylim(-height + _TOP, _TOP)  # inches, the axis at 0
    start, end = margins[0] + 0.12, size - margins[1] - 0.12

    def x(rank: float) -> float:
        return start + (end - start) * (rank - 1) / (k - 1)

    _axis(axes, k, x(1), x(k))
    if isinstance(found, CriticalDifference):
        _difference(axes, found.critical_difference, x(1), x(k), k, size)
    for i, (look, rank, text) in enumerate(zip(own, found.average_ranks, texts, strict=True)):
        on_left = i < left
        row = i if on_left else k - 1 - i
        y = -head - _STEP * row - 0.05
        edge = margins[0] - 0.04 if on_left else size - margins[1] + 0.04
        arm = axes.plot(
            [x(rank), x(rank), edge],
            [0, y, y],
            color=look.colour,
            linewidth=1.0,
            zorder=2,
            solid_joinstyle="miter",
        )
        tag(arm[0], look, "arm")
        mark = axes.plot([x(rank)], [0], linestyle="", zorder=4, clip_on=False, **spot(look, 4.6))
        tag(mark[0], look, "mark")
        name = axes.text(
            edge - 0.04 if on_left else edge + 0.04,
            y,
            text,
            fontsize=SMALL,
            ha="right" if on_left else "left",
            va="center_baseline",
        )
        tag(name, look, "name")
    order = dict(zip(found.methods, found.average_ranks, strict=True))
    for clique, level in zip(cliques, levels, strict=True):
        ends = [order[name] for name in clique]
        y = -0.085 - _BAR * level
        bar = axes.plot(
            [x(min(ends)) - 0.035, x(max(ends)) + 0.035],
            [y, y],
            color=INK,
            linewidth=2.6,
            solid_capstyle="butt",
            zorder=3,
        )
        bar[0].set_gid(f"clique-{level}-{'-'.join(str(found.methods.index(n)) for n in clique)}")
    axes.text(
        size / 2, -height + _TOP + 0.03, note, fontsize=SMALL, color=FAINT, ha="center", va="bottom"
    )
    return figure


def _axis(axes: Axes, k: int, first: float, last: float) -> None:
    """Draw ranks 1 to k from left to right, whole ones with a number."""
    axes.plot([first, last], [0, 0], color=INK, linewidth=0.8, zorder=1)
    apart = (last - first) / (k - 1)
    every = next(n for n in range(1, k + 1) if n * apart > length(f"{k}", SMALL) + 0.05 or n == k)
    for rank in np.arange(1, k + 0.25, 0.5):
        at = first + apart * (rank - 1)
        whole = float(rank).is_integer()
        if not whole and apart < 0.15:
            continue
        axes.plot([at, at], [0, 0.05 if whole else 0.03], color=INK, linewidth=0.6, zorder=1)
        if whole and (int(rank) - 1) % every == 0:
            axes.text(at, 0.065, f"{int(rank)}", fontsize=SMALL, ha="center", va="bottom")


def _difference(
    axes: Axes, difference: float, first: float, last: float, k: int, size: float
) -> None:
    """Draw the critical difference to scale, above the axis."""
    wide = (last - first) * difference / (k - 1)
    words = f"critical difference {difference:.2f}"
    y = 0.27
    if wide > last - first:  # longer than the axis: in words alone
        axes.text(
            first,
            y,
            f"{words}: more than the axis is long",
            fontsize=SMALL,
            va="center",
            color=FAINT,
        )
        return
    axes.plot([first, first + wide], [y, y], color=INK, linewidth=0.9)
    for at in (first, first + wide):
        axes.plot([at, at], [y - 0.03, y + 0.03], color=INK, linewidth=0.9)
    beside = first + wide + 0.06
    if beside + length(words, SMALL) < size:
        axes.text(beside, y, words, fontsize=SMALL, va="center", color=FAINT)
    else:
        axes.text(first, y + 0.05, words, fontsize=SMALL, va="bottom", color=FAINT)


def _levels(methods: Sequence[str], cliques: Sequence[Sequence[str]]) -> list[int]:
    """Return the level of each bar: overlapping bars are below each other."""
    order = {name: i for i, name in enumerate(methods)}
    ends: list[int] = []  # last method of each level
    levels = []
    for clique in cliques:
        places = [order[name] for name in clique]
        level = next((i for i, end in enumerate(ends) if end < min(places)), len(ends))
        ends[level : level + 1] = [max(places)]
        levels.append(level)
    return levels


def _note(found: MeanRanks) -> str:
    """Describe the blocks of the ranking, the result of a test, and the pool of methods."""
    if not isinstance(found, CriticalDifference):
        needed = f"no test, which needs {FEWEST_DATA_SETS} data sets"
        return f"{found.extent}: {needed}; {found.pool}"
    p = found.friedman_p
    written = "< 0.001" if p < 0.001 else f"= {p:.3f}"
    alike = "" if p < SIGNIFICANCE else ": no difference found"
    return f"{found.extent}, Friedman p {written}{alike}; {found.pool}"
