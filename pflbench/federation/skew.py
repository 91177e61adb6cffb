"""The heterogeneity that a partition really has, counted from the federation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pflbench.federation.splits import SPLITS, Split

if TYPE_CHECKING:
    from pflbench.federation.shards import Federation  # imports torch, which counts do not need

COLUMNS: Final = ("client", "split", "class", "samples")
"""The columns of the table of class counts, which is stored with every run."""


def class_counts(federation: Federation) -> pd.DataFrame:
    """Count the samples of every client, split and class, zeros included.

    Returns
    -------
    A tidy table of N·3·C rows: client (0 to N - 1), split ("train", "val", "test"), class
    (0 to C - 1), samples; sorted by client, then split in this order, then class.
    """
    n, classes = federation.clients, federation.classes
    tables = [_counted(federation, split) for split in SPLITS]
    return pd.DataFrame(
        {
            "client": np.repeat(np.arange(n), len(SPLITS) * classes),
            "split": np.tile(np.repeat(np.array(SPLITS, dtype=object), classes), n),
            "class": np.tile(np.arange(classes), n * len(SPLITS)),
            "samples": np.stack(tables, axis=1).reshape(-1).astype(np.int64),
        }
    )


def _counted(federation: Federation, split: Split) -> NDArray[np.int64]:
    """Count one split's samples by client and class [N, C]."""
    n, classes = federation.clients, federation.classes
    shards = federation.split(split)
    client = np.repeat(np.arange(n), shards.sizes)
    cells = np.bincount(client * classes + shards.y.numpy(), minlength=n * classes)
    table: NDArray[np.int64] = cells.reshape(n, classes)
    return table


def unseen_classes(federation: Federation) -> str:
    """Say how many clients are tested on classes without training samples of theirs, or "".

    A partitioner assigns each split separately: if a client's share of a class is about one
    sample, one split may have it and the other not.
    """
    trained, tested = (_counted(federation, split) > 0 for split in ("train", "test"))
    nowhere = ~(tested & trained).any(axis=1)
    only = int(nowhere.sum())
    some = int((tested & ~trained).any(axis=1).sum()) - only
    if not only and not some:
        return ""
    count = only or some
    be, have = ("is", "it has") if count == 1 else ("are", "they have")
    on = "only on classes" if only else "on some classes"
    more = f", and {some:,} more on some such classes" if only and some else ""
    return (
        f"{count:,} of {federation.clients:,} clients {be} tested {on} of which {have} no training "
        f"sample{more}."
    )


def count_matrix(table: pd.DataFrame, split: str) -> NDArray[np.int64]:
    """Return one split of a table of class counts as a matrix [N, C]."""
    part = table[table["split"] == split]
    matrix = np.zeros((int(part["client"].max()) + 1, int(part["class"].max()) + 1), dtype=np.int64)
    matrix[part["client"].to_numpy(), part["class"].to_numpy()] = part["samples"].to_numpy()
    return matrix


NO_GROUP: Final = -1
"""The group of clients in a table of clients, where the scenario has no groups."""


def client_facts(
    counts: pd.DataFrame,
    groups: NDArray[np.int64] | None = None,
    coordinates: NDArray[np.float64] | None = None,
    names: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return every client's sizes and its distance from the others.

    Parameters
    ----------
    counts
        Class counts, as `class_counts` makes them.
    groups, coordinates, names
        `Federation.groups` [N], `Federation.coordinates` [N, k] and `Federation.names` [N], if
        known.

    Returns
    -------
    A table of N rows with the columns

    - client; name ("" where the data do not name their clients); group (-1 without groups);
      train, val, test: samples;
    - distance: total variation distance, in [0, 1], between the client's label distribution and
      that of all clients' samples together, both in training;
    - coordinate_distance: Euclidean distance of the client's coordinates from the mean of all
      clients' (NaN if unknown).
    """
    matrices = {split: count_matrix(counts, split) for split in SPLITS}
    train = matrices["train"]
    n = len(train)
    away = np.full(n, np.nan)
    if coordinates is not None:
        away = np.linalg.norm(coordinates - coordinates.mean(axis=0), axis=1)
    columns: dict[str, NDArray[Any]] = {
        "client": np.arange(n),
        "name": np.array([""] * n if names is None else names, dtype=object),
        "group": np.full(n, NO_GROUP) if groups is None else groups,
    }
    for split in SPLITS:
        columns[split] = matrices[split].sum(axis=1)
    columns["distance"] = _distance(_distributions(train), train.sum(axis=0) / train.sum())
    return pd.DataFrame({**columns, "coordinate_distance": away})


def skew_summary(table: pd.DataFrame) -> pd.DataFrame:
    """Summarise a table of class counts, one row a split.

    Returns
    -------
    A table with the columns

    - split, clients, samples;
    - smallest, median, largest: samples of a client;
    - classes_held: mean number of classes that a client has samples of;
    - effective_classes: mean over clients of exp(entropy of the client's labels), which is k for
      a client with k equally frequent classes;
    - label_skew: mean over clients of the total variation distance between the client's label
      distribution and that of all samples; 0 for equal distributions, towards 1 for clients that
      share no class;
    - from_train: mean over clients of the distance, in the same measure, between the client's
      label distribution in this split and in its training split.
    """
    train = _distributions(count_matrix(table, "train"))
    rows = []
    for split in SPLITS:
        counts = count_matrix(table, split)
        sizes, own = counts.sum(axis=1), _distributions(counts)
        pooled = counts.sum(axis=0) / counts.sum()
        rows.append(
            {
                "split": split,
                "clients": len(counts),
                "samples": int(sizes.sum()),
                "smallest": int(sizes.min()),
                "median": float(np.median(sizes)),
                "largest": int(sizes.max()),
                "classes_held": float((counts > 0).sum(axis=1).mean()),
                "effective_classes": float(effective_classes(own).mean()),
                "label_skew": float(_distance(own, pooled).mean()),
                "from_train": float(_distance(own, train).mean()),
            }
        )
    return pd.DataFrame(rows)


def effective_classes(distributions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return exp(entropy) of each row of [N, C] label distributions."""
    logs = np.log(np.where(distributions > 0, distributions, 1.0))
    values: NDArray[np.float64] = np.exp(-(distributions * logs).sum(axis=1))
    return values


def _distributions(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    own: NDArray[np.float64] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return own


def _distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Total variation distance between rows of distributions."""
    distance: NDArray[np.float64] = np.abs(a - b).sum(axis=1) / 2
    return distance
