"""A partition: samples by client and class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from pflbench.analysis import Board
from pflbench.errors import InputError
from pflbench.federation.client_names import Names, label
from pflbench.report.pictures.style import (
    FAINT,
    SMALL,
    Width,
    canvas,
    drawn,
    gridded,
    inches,
    shortened,
    thousands,
)
from pflbench.results import Store
from pflbench.results.client_labels import stored_names

if TYPE_CHECKING:
    import pandas as pd  # its functions import torch, which takes seconds
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pflbench.federation.splits import Split

_BUBBLE: Final = 0.045
"""Inches that a client needs for visible bubbles; with less room shades are drawn."""

_BUBBLE_CLASSES: Final = 30
"""Of more classes, bubbles would be dots."""

LABELLED: Final = 60
"""Up to this number, clients are drawn in the order of their numbers."""

_NAMED: Final = 24
"""Up to this number, clients have their names along the axis, if the data name them."""

_LABEL: Final = 1.0
"""Inches that such a name may take."""

_COLOURS: Final = ("#35618f", "#e0922f", "#9aa5b1")
"""Training, validation and test samples; three greys in print."""


def partition_counts(board: Board, store: Store) -> tuple[pd.DataFrame, int]:
    """Return samples by client, split and class in the runs of a board's first seed, and the seed.

    Where the data name their clients, a further column `name` does.

    Raises
    ------
    InputError
        No run of it has such a table yet.
    """
    runs = sorted((seed, run_id) for row in board.rows for seed, run_id in row.run_ids.items())
    for seed, run_id in runs:
        run = store.get(run_id)
        if run is not None and run.has_table("partition"):
            counts = run.table("partition")
            names = stored_names(run)
            return (counts.assign(name=counts["client"].map(names)) if names else counts), seed
    raise InputError(
        f"No run of scenario {board.scenario_id} came so far that its partition is stored."
    )


@drawn
def partition(counts: pd.DataFrame, *, width: Width = "column", title: str = "") -> Figure:
    """Draw the training samples of every client and class.

    The area of a bubble is the number of samples. Without room for bubbles, shades are shares of
    the client's samples, with the clients' sizes above.

    Parameters
    ----------
    counts
        Columns client, split, class, samples, as runs store them, and perhaps name.
    width, title
        As in `curves`.
    """
    from pflbench.federation.skew import count_matrix

    size = inches(width)
    matrix = count_matrix(counts, "train")
    clients, classes = matrix.shape
    names = None
    if "name" in counts:
        named = counts[["client", "name"]].fillna("").itertuples(index=False)
        names = {int(client): str(name) for client, name in named}
    if clients * _BUBBLE > size - 0.6 or classes > _BUBBLE_CLASSES:
        return shades(counts, ("train",), size, title, names)
    step = min((size - 0.6) / clients, 0.22)
    height = float(np.clip(step * classes, 0.11 * classes, 3.2))
    figure = canvas(size, height + 0.62 + _room(clients, names), title)
    axes = figure.subplots()
    client, label = np.nonzero(matrix)
    samples = matrix[client, label]
    across = 72 * min((size - 0.55) / clients, height / classes, 0.3)  # points
    largest = (0.92 * across) ** 2
    axes.scatter(
        client,
        label,
        s=largest * samples / samples.max(),
        color=_COLOURS[0],
        linewidths=0,
        zorder=2,
        clip_on=False,
    )
    axes.set_xlim(-0.7, clients - 0.3)
    axes.set_ylim(-0.7, classes - 0.3)
    axes.set_xlabel("client")
    axes.set_ylabel("class")
    _whole(axes, classes)
    _name_clients(axes, clients, names)
    gridded(axes)
    axes.text(
        1.0,
        1.01,
        f"largest: {samples.max():,} training samples",
        fontsize=SMALL,
        color=FAINT,
        transform=axes.transAxes,
        ha="right",
        va="bottom",
    )
    return figure


@drawn
def shades(
    counts: pd.DataFrame,
    splits: Sequence[Split] = ("train", "val", "test"),
    width: float = 7.0,
    title: str = "",
    names: Names | None = None,
) -> Figure:
    """Draw the clients' sizes as bars, and their shares of classes in some splits as shades.

    Parameters
    ----------
    counts, title
        As in `partition`.
    splits
        A panel each.
    width
        Inches.
    names
        The clients' names, by number.
    """
    from matplotlib.ticker import PercentFormatter

    from pflbench.federation.skew import count_matrix
    from pflbench.federation.splits import SPLIT_WORDS

    matrices = {split: count_matrix(counts, split) for split in splits}
    clients, classes = matrices[splits[0]].shape
    order = np.arange(clients)
    words = "client"
    if clients > LABELLED:
        first = matrices[splits[0]]
        order = np.lexsort((-first.sum(axis=1), first.argmax(axis=1)))
        words = f"{clients:,} clients, by most frequent class, then by size"
    height = float(np.clip(0.11 * classes, 0.9, 2.6))
    figure = canvas(width, 1.45 + height * len(splits) + _room(clients, names), title)
    top, *panels = figure.subplots(
        1 + len(splits), 1, sharex=True, height_ratios=[0.7, *(height,) * len(splits)]
    )
    _sizes(top, {split: matrices[split][order].sum(axis=1) for split in splits})
    shares = {
        split: matrix[order] / np.maximum(matrix[order].sum(axis=1, keepdims=True), 1)
        for split, matrix in matrices.items()
    }
    peak = max(float(share.max()) for share in shares.values())
    for axes, split in zip(panels, splits, strict=True):
        image = axes.imshow(
            shares[split].T,
            aspect="auto",
            interpolation="nearest",
            origin="lower",
            cmap="Blues",
            vmin=0.0,
            vmax=peak,
        )
        axes.set_ylabel(f"{SPLIT_WORDS[split]}\nclass" if len(splits) > 1 else "class")
        _whole(axes, classes)
    panels[-1].set_xlabel(words)
    _name_clients(panels[-1], clients, names)
    bar = figure.colorbar(
        image,
        ax=panels,
        format=PercentFormatter(1.0, decimals=0),
        aspect=25,
        label="share of the client's samples",
    )
    bar.outline.set_linewidth(0.5)
    return figure


def _sizes(axes: Axes, sizes: dict[Split, NDArray[np.int64]]) -> None:
    """Draw the clients' sizes as bars, the splits stacked."""
    from pflbench.federation.splits import SPLIT_WORDS

    clients = len(next(iter(sizes.values())))
    floor = np.zeros(clients)
    for split, colour in zip(sizes, _COLOURS, strict=False):
        axes.bar(
            np.arange(clients),
            sizes[split],
            bottom=floor,
            color=colour,
            linewidth=0,
            width=0.9 if clients <= LABELLED else 1.0,
            label=SPLIT_WORDS[split],
        )
        floor += sizes[split]
    axes.set_ylabel("samples" if len(sizes) > 1 else "training\nsamples")
    thousands(axes.yaxis)
    if len(sizes) > 1:
        axes.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1.0))


def _room(clients: int, names: Names | None) -> float:
    """Return the inches that clients' names need below the axis."""
    return _LABEL if names and clients <= _NAMED else 0.0


def _name_clients(axes: Axes, clients: int, names: Names | None) -> None:
    """Write clients' numbers and names along the axis, if all fit."""
    if names and clients <= _NAMED:
        words = [shortened(label(i, names), _LABEL, SMALL) for i in range(clients)]
        axes.set_xticks(range(clients), words, rotation=90)


def _whole(axes: Axes, classes: int) -> None:
    """Put ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    if classes <= 12:
        axes.set_yticks(range(classes))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
