"""The picture of a run against its baseline: each client's gain, against its properties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pflbench.analysis.protocol import BASELINE
from pflbench.analysis.transfer import Transfer
from pflbench.federation.skew import NO_GROUP
from pflbench.report.pictures.looks import COLOURS
from pflbench.report.pictures.style import (
    FAINT,
    GRID,
    HURT,
    INK,
    PAPER,
    TEXT,
    canvas,
    folded,
    signed,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ASPECTS: Final = {
    "train": "training samples",
    "distance": "distance of its labels from all clients'",
    "coordinate_distance": "distance of its coordinates from the mean",
}
"""x axes of gains: columns of `Transfer.clients`, in words."""

_MARKS: Final = (
    ("helped, or as good", "o", True),
    ("hurt, within one standard error", "o", False),
    ("hurt by more", "X", True),
)
_WITH_ERRORS: Final = 100
"""Up to this number, clients have the standard error of their gain drawn."""

_SAME: Final = 1e-9
"""Values that differ by less are one value."""


_CROWD: Final = 0.1
"""A value that is shared by a larger share of the clients is drawn as a band of them,"""

_BAND: Final = 0.03
"""so much of the axis wide to either side."""


def varies(values: pd.Series[float]) -> bool:
    """Whether the clients differ in a column that is known for all."""
    return not values.isna().any() and float(values.max() - values.min()) > _SAME


def rank_correlation(a: pd.Series[float], b: pd.Series[float]) -> float | None:
    """Return Spearman's rank correlation; None if one of the two is the same for all clients."""
    if not (varies(a) and varies(b)):
        return None
    return float(a.rank().corr(b.rank()))


def transfer_figure(found: Transfer) -> Figure:
    """Draw the gain of each client against its training size and its distance from the others."""
    from matplotlib.lines import Line2D

    table = found.clients
    aspects = [
        name
        for name in ASPECTS
        if not table[name].isna().any() and (name != "coordinate_distance" or varies(table[name]))
    ]
    width = 0.8 + 2.7 * max(len(aspects), 1)
    figure = canvas(width, 3.5)
    panels = figure.subplots(1, max(len(aspects), 1), sharey=True, squeeze=False)[0]
    groups = sorted(table["group"].unique())
    colors = {group: COLOURS[i % len(COLOURS)] for i, group in enumerate(groups)}
    for axes, name in zip(panels, aspects, strict=False):
        _panel(axes, table, name, colors)
    panels[0].set_ylabel(f"gain over {BASELINE} (points of test accuracy)")
    whole, n = found.whole, len(table)
    hurt, beyond = int(table["hurt"].sum()), int(table["hurt_beyond_error"].sum())
    gain = signed(100 * whole.gain)
    words = (
        f"{found.run.cell['algorithm']['name']} against {BASELINE}, {n:,} clients, "
        f"seed {found.run.cell['seed']}: mean gain {gain}, {hurt:,} hurt, "
        f"{beyond:,} of them by more than one standard error"
    )
    figure.suptitle(folded(words, width - 0.2, TEXT), fontsize=TEXT)
    neutral = FAINT if len(groups) > 1 else COLOURS[0]
    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            marker=mark,
            markersize=4.5,
            color=neutral,
            markerfacecolor=neutral if full else PAPER,
            label=words,
        )
        for words, mark, full in _MARKS
    ]
    if len(groups) > 1:
        handles += [
            Line2D(
                [],
                [],
                linestyle="",
                marker="s",
                color=colors[group],
                label="no group" if group == NO_GROUP else f"group {group}",
            )
            for group in groups
        ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 4))
    return figure


def _panel(axes: Axes, table: pd.DataFrame, name: str, colors: dict[int, str]) -> None:
    """Draw the gains against one aspect of the clients."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    x, gain, error = table[name].to_numpy(float), 100 * table["gain"], 100 * table["error"]
    axes.axhspan(-200, 0, color=HURT, linewidth=0, zorder=0)
    axes.axhline(0, color=INK, linewidth=0.7, zorder=0.5)
    title = "the same for all clients"
    if varies(table[name]):
        if name == "train" and x.max() > 10 * x.min():
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        correlation = rank_correlation(table[name], table["gain"])
        title = "" if correlation is None else f"rank correlation {correlation:+.2f}"
        x = _apart(x)
    else:  # side by side in the order of their numbers, so that none hides another
        axes.set_xticks([0.5], [f"{x[0]:,.0f}" if name == "train" else f"{x[0]:.2f}"])
        axes.set_xlim(-0.15, 1.15)
        x = np.linspace(0, 1, len(x)) if len(x) > 1 else np.array([0.5])
    if len(table) <= _WITH_ERRORS:
        axes.errorbar(x, gain, yerr=error, fmt="none", ecolor=GRID, elinewidth=1.0, zorder=1)
    beyond, hurt = table["hurt_beyond_error"].to_numpy(), table["hurt"].to_numpy()
    size = 18 if len(table) <= _WITH_ERRORS else 8
    for group, color in colors.items():
        own = table["group"].to_numpy() == group
        for (_, mark, full), here in zip(_MARKS, (~hurt, hurt & ~beyond, beyond), strict=True):
            axes.scatter(
                x[own & here],
                gain[own & here],
                s=size,
                marker=mark,
                zorder=2,
                facecolors=color if full else PAPER,
                edgecolors=color,
                linewidths=1.1 if not full else 0.4,
            )
    most, least = float((gain + error).max()), float((gain - error).min())
    room = 0.06 * (most - least) or 1.0
    axes.set_ylim(min(least, 0) - room, max(most, 0) + room)
    axes.set_title(title.replace("-", "−"), color=FAINT)
    axes.set_xlabel(ASPECTS[name])


def _apart(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spread clients with a common x slightly, so that none hides another."""
    values, of, counts = np.unique(np.round(x, 9), return_inverse=True, return_counts=True)
    band = _BAND * float(values[-1] - values[0])
    spread: NDArray[np.float64] = x.copy()
    for i in np.flatnonzero(counts > max(_CROWD * len(x), 2)):
        spread[of == i] += band * np.linspace(-1, 1, counts[i])
    return spread
