"""A picture of accuracy against what crossed the network, and against time over one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from pflbench.cost.record import Record
from pflbench.cost.timeline import Timeline
from pflbench.cost.to_target import reached
from pflbench.cost.totals import running
from pflbench.figures import save_figure
from pflbench.results.measures import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS: Final = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c564b", "#4d4d4d",
)  # fmt: skip
"""Told apart by those who see few colours (Okabe and Ito), and two more."""

_STYLES: Final = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)))
"""Curves that lie on each other are both seen."""

_LARGE_RATIO: Final = 30.0
"""Costs that differ by more are drawn on a logarithmic axis."""


@dataclass(frozen=True, eq=False)
class Curve:
    """The runs of one method: one a seed.

    Attributes
    ----------
    label
        Its name in the picture.
    records
        The runs.
    times
        Each over a network, or nothing.
    """

    label: str
    records: Sequence[Record]
    times: Sequence[Timeline] = ()


def save_cost_picture(
    curves: Sequence[Curve], path: Path, *, network: str = "", target: float | None = None
) -> None:
    """Draw test accuracy against bytes (and against time over a network) into an image file.

    Parameters
    ----------
    curves
        One a method.
    path
        Where to; the ending says the format: .png, .pdf or .svg.
    network
        The network's name, if the curves have times.
    target
        Validation accuracy at which a mark is set.

    Raises
    ------
    pflbench.errors.InputError
        Another ending, or a folder that is not there.
    pflbench.errors.WorkError
        The file cannot be written.
    """
    save_figure(lambda: _figure(curves, network, target), path)


def _figure(curves: Sequence[Curve], network: str, target: float | None) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    panels = 2 if network else 1
    rows = -(-(len(curves) + (target is not None)) // (4 if panels == 2 else 3))
    figure = Figure(figsize=(6.4 if panels == 1 else 10.4, 4.1 + 0.24 * rows), layout="constrained")
    axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
    _panel(axes[0], curves, _megabytes, target)
    axes[0].set_xlabel("MB up and down, all clients together, set-up included")
    axes[0].set_ylabel("test accuracy (%), mean over clients")
    if network:
        _panel(axes[1], curves, _minutes, target)
        axes[1].set_xlabel(f"minutes over {network}")
    handles, labels = axes[0].get_legend_handles_labels()
    if target is not None:
        handles.append(Line2D([], [], marker="o", linestyle="", color="#888888"))
        labels.append(f"validation reached {target:.1%}")
    figure.legend(handles, labels, loc="outside upper left", ncols=3 if panels == 1 else 4,
                  frameon=False, fontsize="small")  # fmt: skip
    return figure


def _megabytes(curve: Curve, i: int) -> Floats:
    """Return what had crossed after each evaluated round of a run."""
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
    from matplotlib.ticker import FuncFormatter

    costs = [np.mean([cost(c, i) for i in range(len(c.records))], axis=0) for c in curves]
    spent = np.concatenate(costs)
    spent = spent[spent > 0]
    log = len(spent) > 0 and spent.max() / spent.min() > _LARGE_RATIO
    for n, (curve, at) in enumerate(zip(curves, costs, strict=True)):
        colour, style = _COLOURS[n % len(_COLOURS)], _STYLES[n % len(_STYLES)]
        accuracies = 100 * np.array([record.test.means() for record in curve.records])
        mean = accuracies.mean(axis=0)
        if not at.any():  # without a message there is no place on the axis: its height is shown
            final = 100 * float(np.mean([r.accuracy(r.selected) for r in curve.records]))
            axes.axhline(final, color=colour, linewidth=1.0,
                         label=f"{curve.label} (0 MB)", zorder=1.5)  # fmt: skip
            continue
        if len(accuracies) > 1:
            axes.fill_between(at, accuracies.min(axis=0), accuracies.max(axis=0), color=colour,
                              alpha=0.15, linewidth=0)  # fmt: skip
        axes.plot(at, mean, color=colour, linestyle=style, linewidth=1.6, label=curve.label)
        _mark_target(axes, curve, cost, target, colour)
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.10g}"))
    else:
        axes.set_xlim(left=0)
    if target is not None:
        axes.axhline(100 * target, color="#888888", linewidth=0.8, linestyle=":", zorder=1)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _mark_target(
    axes: Axes, curve: Curve, cost: Callable[[Curve, int], Floats], target: float | None,
    colour: str,
) -> None:  # fmt: skip
    """Set a mark where each run reached the target: at the test accuracy there."""
    if target is None:
        return
    for i, record in enumerate(curve.records):
        found = reached(record, target)
        if found is not None:
            place = int(np.flatnonzero(record.test.rounds == found.round)[0])
            axes.plot(cost(curve, i)[place], 100 * found.test_accuracy, "o", color=colour,
                      markeredgecolor="white", markersize=6, zorder=3)  # fmt: skip
