"""A picture of accuracy against bytes, and against time over a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pflbench.analysis.run_costs import Record
from pflbench.analysis.timeline import Timeline
from pflbench.analysis.to_target import reached
from pflbench.analysis.totals import running
from pflbench.report.pictures.looks import Look, key, legend_below, line
from pflbench.report.pictures.overlaps import BANDS, widths
from pflbench.report.pictures.style import (
    ACCURACY,
    FAINT,
    PAPER,
    WIDTHS,
    canvas,
    gridded,
    logarithmic,
    thousands,
)
from pflbench.results.measures import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_LARGE_RATIO: Final = 30.0
"""Costs that differ by more are drawn on a logarithmic axis."""


@dataclass(frozen=True, eq=False)
class Curve:
    """The runs of one method: one a seed.

    Attributes
    ----------
    look
        How it is drawn, with its name.
    records
        The runs.
    times
        Each over a network, or nothing.
    """

    look: Look
    records: Sequence[Record]
    times: Sequence[Timeline] = ()


def cost_figure(
    curves: Sequence[Curve], *, network: str = "", target: float | None = None
) -> Figure:
    """Draw test accuracy against bytes (and against time over a network).

    Parameters
    ----------
    curves
        One a method.
    network
        The network's name, if the curves have times.
    target
        Validation accuracy at which a mark is set.
    """
    from matplotlib.lines import Line2D

    panels = 2 if network else 1
    figure = canvas(4.4 if panels == 1 else WIDTHS["page"], 2.8)
    axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
    _panel(axes[0], curves, _megabytes, target)
    axes[0].set_xlabel("MB up and down, all clients together, set-up included")
    axes[0].set_ylabel(ACCURACY)
    if network:
        _panel(axes[1], curves, _minutes, target)
        axes[1].set_xlabel(f"minutes over {network}")
    reached_there = Line2D(
        [],
        [],
        marker="o",
        linestyle="",
        color=FAINT,
        markersize=4,
        label=f"validation reached {target or 0:.1%}",
    )
    legend_below(
        figure,
        {curve.look: _key(curve) for curve in curves},
        [] if target is None else [reached_there],
    )
    return figure


def _key(curve: Curve) -> Line2D:
    """Return the legend entry of a curve."""
    made = key(curve.look, with_spot=False)
    if not any(_megabytes(curve, i).any() for i in range(len(curve.records))):
        made.set_label(f"{curve.look.label} (0 MB)")
    return made


def _megabytes(curve: Curve, i: int) -> Floats:
    """Return the bytes sent until each evaluated round of a run."""
    record = curve.records[i]
    spent = running(record)
    total: Floats = (spent["bytes_up"] + spent["bytes_down"]).to_numpy(np.float64)
    return total[record.test.rounds] / 1e6


def _minutes(curve: Curve, i: int) -> Floats:
    """Return the time after each evaluated round of a run."""
    return curve.times[i].seconds[curve.records[i].test.rounds] / 60


def _panel(
    axes: Axes, curves: Sequence[Curve], cost: Callable[[Curve, int], Floats], target: float | None
) -> None:
    costs = [np.mean([cost(c, i) for i in range(len(c.records))], axis=0) for c in curves]
    spent = np.concatenate(costs)
    spent = spent[spent > 0]
    heights = [100 * np.array([r.test.means() for r in curve.records]) for curve in curves]
    lines = [(at, own.mean(axis=0)) for at, own in zip(costs, heights, strict=True)]
    drawn = list(zip(curves, costs, heights, widths(lines), strict=True))
    for curve, at, accuracies, thick in reversed(drawn):  # the best above the others
        look = curve.look
        if not at.any():  # a run without messages has no place on the axis: its height is shown
            final = 100 * float(np.mean([r.accuracy(r.selected) for r in curve.records]))
            axes.axhline(final, zorder=1.5, **line(look, linewidth=0.9))
            continue
        if len(accuracies) > 1 and len(curves) <= BANDS:
            axes.fill_between(
                at,
                accuracies.min(axis=0),
                accuracies.max(axis=0),
                alpha=0.16,
                color=look.colour,
                linewidth=0,
            )
        axes.plot(at, accuracies.mean(axis=0), **line(look, linewidth=thick))
        _mark_target(axes, curve, cost, target, look.colour)
    if len(spent) and spent.max() / spent.min() > _LARGE_RATIO:
        logarithmic(axes, float(spent.min()) / 1.1, float(spent.max()) * 1.1)
    else:
        axes.set_xlim(left=0)
        thousands(axes.xaxis)
    if target is not None:
        axes.axhline(100 * target, color=FAINT, linewidth=0.8, linestyle=":", zorder=1)
    gridded(axes)


def _mark_target(
    axes: Axes,
    curve: Curve,
    cost: Callable[[Curve, int], Floats],
    target: float | None,
    colour: str,
) -> None:
    """Set a mark where each run reached the target: at the test accuracy there."""
    if target is None:
        return
    for i, record in enumerate(curve.records):
        found = reached(record, target)
        if found is not None:
            place = int(np.flatnonzero(record.test.rounds == found.round)[0])
            axes.plot(
                cost(curve, i)[place],
                100 * found.test_accuracy,
                "o",
                color=colour,
                markeredgecolor=PAPER,
                markersize=4.5,
                zorder=3,
            )
