"""A picture of a server's learnt relations of clients: matrices, and the graph on the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pflbench.analysis.client_order import order_of, places
from pflbench.analysis.relatedness_score import SCORES, Truth, right_neighbours
from pflbench.analysis.relatedness_tables import Matrices, Matrix
from pflbench.federation.client_names import label
from pflbench.report.pictures.style import shortened, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RIGHT: Final = "#35618f"
WRONG: Final = "#d9652b"
PLAIN: Final = "#5b6770"
_GROUPS: Final = ("#9aa5b1", "#e0922f", "#4c9f70", "#8e5ea2", "#c94f7c", "#3a7ca5")
_NUMBERED: Final = 60
"""Up to this number, each client has its number in the graph."""

_LABEL: Final = 1.0
"""Inches that a client's number and name may take."""

WORDS: Final = {SCORES[0]: "rank correlation", SCORES[1]: "precision", SCORES[2]: "same group"}


@dataclass(frozen=True, eq=False)
class Drawn:
    """The content of a picture.

    Attributes
    ----------
    title
        The method and its run, in words.
    found, truth
        The learnt relations, and the true ones if known.
    scores
        By key.
    names
        The clients' names, by number.
    """

    title: str
    found: Matrices
    truth: Truth | None
    scores: dict[str, float]
    names: Mapping[int, str] = field(default_factory=dict)


def figure(drawn: Drawn) -> Figure:
    """Draw similarity, S and Π as heat maps, and the graph S where clients truly are."""
    with styled(text=9, small=8):  # a whole page: larger words than in a column
        return _figure(drawn)


def _figure(drawn: Drawn) -> Figure:
    from matplotlib.figure import Figure

    found, truth = drawn.found, drawn.truth
    order, words = order_of(found, truth)
    made = Figure(figsize=(10.6, 9.6), layout="constrained")
    made.get_layout_engine().set(w_pad=0.08, h_pad=0.10, hspace=0.03, wspace=0.02)  # type: ignore[union-attr, call-arg]  # constrained
    told = [f"{WORDS[key]} {value:.2f}" for key, value in drawn.scores.items()]
    made.suptitle("\n".join([drawn.title, *([", ".join(told)] if told else [])]), fontsize=12)
    (top, second), (third, graph) = made.subplots(2, 2)
    similarity = found.similarity.copy()
    np.fill_diagonal(similarity, np.nan)
    heads = (
        (top, similarity, "similarity", "the server's similarity of two clients", "viridis"),
        (second, found.weight, "S", "the graph: neighbours of a row's client", "Blues"),
        (third, found.propagation, "Π", "how much of a column's model reaches a row's", "Blues"),
    )
    for axes, matrix, name, meaning, colours in heads:
        _heat(made, axes, matrix[np.ix_(order, order)], f"{name}: {meaning}", colours)
        axes.set_xlabel(f"other client, {words}")
        axes.set_ylabel("client")
        _ticks(axes, drawn, None if truth is None else truth.groups, order)
    _graph(graph, found, truth)
    return made


def _heat(made: Figure, axes: Axes, matrix: Matrix, title: str, colours: str) -> None:
    from matplotlib.colors import Normalize, PowerNorm

    shown = np.ma.masked_invalid(matrix)
    high = float(shown.max()) if shown.count() else 1.0
    norm: Any = PowerNorm(0.5, 0.0, high or 1.0)  # small shares show, and nothing is white
    if colours != "Blues":
        norm = Normalize(float(shown.min()) if shown.count() else 0.0, high)
    image = axes.imshow(shown, cmap=colours, norm=norm, interpolation="nearest")
    axes.set_facecolor("#eeeeee")  # behind the empty diagonal
    axes.set_title(title, fontsize=10)
    made.colorbar(image, ax=axes, shrink=0.82, pad=0.02)


def _ticks(
    axes: Axes, drawn: Drawn, groups: NDArray[np.int64] | None, order: NDArray[np.int64]
) -> None:
    """Name clients by their numbers and names, some of many, and part the groups by lines."""
    numbers = drawn.found.numbers[order].tolist()
    n = len(numbers)
    at = np.unique(np.linspace(0, n - 1, min(n, 10)).round().astype(int))
    axes.set_xticks(at, [str(numbers[i]) for i in at], fontsize=8)
    words = [shortened(label(numbers[i], drawn.names), _LABEL, 8) for i in at]
    axes.set_yticks(at, words, fontsize=8)
    if groups is not None:
        for edge in np.flatnonzero(np.diff(groups[order])) + 0.5:
            axes.axhline(edge, color="#d9652b", linewidth=0.8)
            axes.axvline(edge, color="#d9652b", linewidth=0.8)


def _bent(start: Matrix, end: Matrix) -> list[Matrix]:
    """Return curves between points [E, 2], bent towards the middle: short ones show, too."""
    middle = (start + end) / 2
    reach = np.linalg.norm(middle, axis=1, keepdims=True)
    length = np.linalg.norm(end - start, axis=1, keepdims=True)
    control = middle * (1 - np.minimum(0.12 + 0.3 * length, 0.9) / np.maximum(reach, 1.0))
    t = np.linspace(0, 1, 16)[:, None, None]
    curves = (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end
    return list(curves.transpose(1, 0, 2))


def _arrows(
    axes: Axes,
    points: Matrix,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    share: Matrix,
    colours: list[str],
) -> None:
    """Draw bent edges, so that both directions of a pair show; arrows point to the neighbour."""
    from matplotlib.patches import FancyArrowPatch

    for i, j, part, colour in zip(rows, columns, share, colours, strict=True):
        axes.add_patch(
            FancyArrowPatch(
                tuple(points[i]),
                tuple(points[j]),
                connectionstyle="arc3,rad=0.35",
                arrowstyle="-|>",
                mutation_scale=7,
                color=colour,
                linewidth=0.4 + 1.3 * part,
                shrinkA=4,
                shrinkB=5,
                alpha=0.85,
                zorder=1,
            )
        )


def _graph(axes: Axes, found: Matrices, truth: Truth | None) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D

    points = places(found, truth)
    n = found.clients
    weight = found.weight.copy()
    np.fill_diagonal(weight, 0.0)
    rows, columns = np.nonzero(weight)
    right = None if truth is None else right_neighbours(found, truth)
    colours = [
        PLAIN if right is None else RIGHT if right[i, j] else WRONG
        for i, j in zip(rows, columns, strict=True)
    ]
    share = weight[rows, columns] / max(float(weight.max()), 1e-12)
    if n <= _NUMBERED:
        _arrows(axes, points, rows, columns, share, colours)
    else:
        fine = float(np.clip(60 / n, 0.15, 1.0))
        axes.add_collection(
            LineCollection(
                _bent(points[rows], points[columns]),
                colors=colours,
                linewidths=fine * (0.6 + 2.2 * share),
                alpha=0.4 + 0.4 * fine,
                zorder=1,
            )
        )
    group = np.zeros(n, dtype=np.int64)
    if truth is not None and truth.groups is not None:
        _, group = np.unique(truth.groups, return_inverse=True)
    fill = [_GROUPS[k % len(_GROUPS)] for k in group]
    axes.scatter(
        points[:, 0],
        points[:, 1],
        s=float(np.clip(4800 / n, 4, 170)),
        c=fill,
        zorder=2,
        edgecolors="white",
        linewidths=0.8 if n <= 200 else 0.2,
    )
    if n <= _NUMBERED:
        for number, (x, y) in zip(found.numbers, points, strict=True):
            axes.annotate(str(number), (x, y), ha="center", va="center", fontsize=7, zorder=3)
    where = "where the clients truly are" if truth is not None else "in order of similarity"
    which = ": arrows point to neighbours" if n <= _NUMBERED else ""
    axes.set_title(f"S, {where}{which}", fontsize=10)
    axes.set_xlim(-1.2, 1.2)
    axes.set_ylim(-1.32, 1.2)
    axes.set_aspect("equal")
    axes.set_axis_off()
    handles = []
    if truth is not None:
        near = "truly nearest" if truth.coordinates is not None else "of the same group"
        handles += [
            Line2D([], [], color=RIGHT, linewidth=2, label=f"a neighbour that is {near}"),
            Line2D([], [], color=WRONG, linewidth=2, label="a neighbour that is not"),
        ]
        if truth.groups is not None:
            names = np.unique(truth.groups)
            handles += [
                Line2D(
                    [],
                    [],
                    marker="o",
                    linestyle="",
                    label=f"group {name}",
                    markersize=7,
                    color=_GROUPS[k % len(_GROUPS)],
                )
                for k, name in enumerate(names[: len(_GROUPS)])
            ]
    if handles:
        axes.legend(handles=handles, loc="lower center", ncols=2, frameon=False, fontsize=8)
