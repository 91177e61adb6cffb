"""What a data set plugin hands over, before or instead of a partition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class DataRequest:
    """What a data set's `load` is asked.

    Attributes
    ----------
    name
        The data set's name as registered.
    path
        What stands behind the colon of `name:PATH`, for data sets that take a path.
    data_dir
        `--data-dir` or `PFLBENCH_DATA`, or None.
    fallback
        Whether an embedded last resort may be used (`--no-fallback` says no).
    download
        Whether a download may be tried.
    """

    name: str
    path: Path | None = None
    data_dir: Path | None = None
    fallback: bool = True
    download: bool = True


@dataclass(frozen=True, eq=False)
class Pool:
    """Samples that a partitioner gives out to clients.

    Attributes
    ----------
    train_x, test_x
        [n, *shape] uint8 (scaled to [0, 1] on use) or float32.
    train_y, test_y
        [n] integer labels, 0 to classes - 1.
    classes
        Number of classes C.
    source
        The data in words, for people.
    validation
        How many of the training samples become the validation pool.
    mean, std
        Per-channel normalisation, applied after the partitioner's transform; None for none.
    train_owner, test_owner
        [n] client numbers 0 to N - 1 where the data knows its clients (for `natural`), or None.
    notice
        One line that the user must see ("MNIST was not found ..."), or "".
    """

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    classes: int
    source: str
    validation: int
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    train_owner: np.ndarray | None = None
    test_owner: np.ndarray | None = None
    notice: str = ""


@dataclass(frozen=True, eq=False)
class ClientArrays:
    """A federation as it is: each client's six arrays.

    `clients[i]` maps train_x, train_y, val_x, val_y, test_x, test_y to arrays.
    """

    clients: Sequence[Mapping[str, np.ndarray]]
    classes: int
    source: str
    notice: str = ""
