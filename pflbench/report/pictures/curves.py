"""Learning curves: accuracy against rounds, bytes or seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from pflbench.analysis import Board
from pflbench.analysis.history import History
from pflbench.report.pictures.looks import Look, key, legend_below, line, spot
from pflbench.report.pictures.overlaps import BANDS, widths
from pflbench.report.pictures.selection import measured, of_seeds
from pflbench.report.pictures.style import (
    FAINT,
    Width,
    canvas,
    drawn,
    gridded,
    inches,
    logarithmic,
    tag,
    thousands,
)
from pflbench.results.measures import Floats

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Against = Literal["rounds", "bytes", "seconds"]
AGAINST: Final[tuple[Against, ...]] = ("rounds", "bytes", "seconds")
Split = Literal["test", "val"]

_LARGE: Final = 20.0
"""Methods whose costs differ by more are drawn on a logarithmic axis."""

_SPLITS: Final = {"test": "test", "val": "validation"}


@drawn
def curves(
    board: Board,
    runs: Mapping[str, Sequence[History]],
    looks: Mapping[str, Look],
    *,
    x: Against = "rounds",
    split: Split = "test",
    width: Width = "column",
    title: str = "",
) -> Figure:
    """Draw accuracy during training: mean over clients and seeds, with the range over seeds.

    The range is a band, if `banded` is true. A marker is at the round selected on validation (mean
    over seeds) and its accuracy: on the test split this is the board's headline. A method that
    sends nothing has no place on an axis of bytes; its accuracy at the selected round is a level
    line there.

    Parameters
    ----------
    board
        Its ranked rows are drawn.
    runs
        As `histories` reads them.
    looks
        As `looks` makes them.
    x
        The x axis.
    split
        Which accuracy.
    width
        `"column"`, `"page"` or inches.
    title
        None if empty.

    Raises
    ------
    InputError
        The board has no ranked row.
    """
    rows = [row.label for row, _, _ in measured(board)]
    size = inches(width)
    figure = canvas(size, min(0.66 * size, 3.4) + 0.1, title)
    axes = figure.subplots()
    unit, words = _unit(x, runs)
    costs = {label: np.mean([_at(run, x) for run in runs[label]], axis=0) / unit for label in rows}
    bands = banded(board)
    handles: dict[Look, Artist] = {}
    means = {label: np.mean([getattr(run, split) for run in runs[label]], axis=0) for label in rows}
    thick = dict(zip(rows, widths([(costs[row], 100 * means[row]) for row in rows]), strict=True))
    for depth, label in enumerate(reversed(rows)):  # the best above the others
        _method(
            axes,
            looks[label],
            costs[label],
            runs[label],
            split,
            bands,
            2 + 0.01 * depth,
            thick[label],
        )
    for label in rows:
        handles[looks[label]] = key(looks[label])
    _scale(axes, costs, x)
    _heights(axes, list(means.values()))
    axes.set_xlabel(words)
    axes.set_ylabel(f"{_SPLITS[split]} accuracy (%), {of_seeds(board)}")
    gridded(axes)
    legend_below(figure, handles, _explained(bands, len(board.seeds)))
    return figure


def banded(board: Board) -> bool:
    """Whether the curves of a board have bands: with several seeds, and few enough methods."""
    return len(measured(board)) <= BANDS and len(board.seeds) > 1


def _at(run: History, x: Against) -> Floats:
    found: Floats = getattr(run, x).astype(np.float64)
    return found


def _unit(x: Against, runs: Mapping[str, Sequence[History]]) -> tuple[float, str]:
    """Return the divisor and label of the axis."""
    most = max(float(_at(run, x)[-1]) for group in runs.values() for run in group)
    if x == "rounds":
        return 1.0, "communication round"
    if x == "bytes":
        return (1e6, "MB up and down") if most < 1e10 else (1e9, "GB up and down")
    for unit, name in ((3600.0, "h"), (60.0, "min")):
        if most >= 3 * unit:
            return unit, f"training time, clients and server ({name})"
    return 1.0, "training time, clients and server (s)"


def _method(
    axes: Axes,
    look: Look,
    at: Floats,
    runs: Sequence[History],
    split: Split,
    band: bool,
    depth: float,
    thick: float,
) -> None:
    """Draw one method: its band, its line, its mark."""
    accuracy = 100 * np.array([getattr(run, split) for run in runs])  # [S, R]
    chosen = float(np.mean([own[run.selected] for own, run in zip(accuracy, runs, strict=True)]))
    if not at.any():  # nothing was sent
        tag(axes.axhline(chosen, zorder=depth, **line(look, linewidth=1.0)), look, "line")
        place = axes.get_yaxis_transform()
        mark = axes.plot(
            [1.0],
            [chosen],
            transform=place,
            clip_on=False,
            zorder=depth + 1,
            linestyle="",
            **spot(look),
        )
        tag(mark[0], look, "mark")
        return
    if band:
        shade = axes.fill_between(
            at,
            accuracy.min(axis=0),
            accuracy.max(axis=0),
            alpha=0.16,
            color=look.colour,
            linewidth=0,
            zorder=depth - 1,
        )
        tag(shade, look, "band")
    alone = spot(look, 2.5) if len(at) == 1 else {}
    tag(
        axes.plot(at, accuracy.mean(axis=0), zorder=depth, **line(look, linewidth=thick), **alone)[
            0
        ],
        look,
        "line",
    )
    there = float(np.mean([np.interp(run.rounds[run.selected], run.rounds, at) for run in runs]))
    mark = axes.plot(
        [there], [chosen], linestyle="", zorder=depth + 1, **spot(look, color=look.colour)
    )
    tag(mark[0], look, "mark")


def _scale(axes: Axes, costs: Mapping[str, Floats], x: Against) -> None:
    """Choose the axis: logarithmic where methods' costs differ much."""
    from matplotlib.ticker import MaxNLocator

    ends = np.array([at[-1] for at in costs.values() if at.any()])
    if x != "rounds" and len(ends) and ends.max() > _LARGE * ends.min():
        first = min(float(at[at > 0].min()) for at in costs.values() if at.any())
        logarithmic(axes, max(first, float(ends.max()) / 1e5) / 1.15, float(ends.max()) * 1.15)
        return
    axes.set_xlim(0, (float(ends.max()) if len(ends) else 1.0) * 1.02)
    thousands(axes.xaxis)
    if x == "rounds":
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, steps=[1, 2, 5, 10]))
    if not len(ends):
        axes.set_xticks([0])


def _heights(axes: Axes, means: Sequence[Floats]) -> None:
    """Give most of the height to where methods end: the first rounds may begin below."""
    best = [100 * float(one.max()) for one in means]
    ends = [100 * float(one[-1]) for one in means]
    lowest = 100 * min(float(one.min()) for one in means)
    top, bottom = axes.get_ylim()[1], min(*ends, *best)
    span = max(max(best) - bottom, 4.0)
    axes.set_ylim(max(lowest - 0.04 * span, bottom - 1.2 * span), min(top, 100.0 + 0.02 * span))


def _explained(bands: bool, seeds: int) -> list[Artist]:
    """Return the legend entries of the mark and the band."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    mark = Line2D(
        [],
        [],
        linestyle="",
        marker="o",
        color=FAINT,
        markeredgecolor=FAINT,
        label="selected on validation",
    )
    band = Patch(facecolor=FAINT, alpha=0.25, linewidth=0, label=f"range of {seeds} seeds")
    return [mark, *([band] if bands else [])]
