"""The results of a data set plugin, before or instead of a partition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from pflbench.federation.arrays import ContentHash
from pflbench.federation.splits import Split


@dataclass(frozen=True)
class DataRequest:
    """The request to a data set's `load`.

    Attributes
    ----------
    name
        The data set's name as registered.
    path
        The text after the colon of `name:PATH`, for data sets that take a path.
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
        [n, *shape], both uint8 (scaled to [0, 1] on use) or both floating point.
    train_y, test_y
        [n] integer labels, 0 to classes - 1.
    classes
        Number of classes C.
    source
        The data in words.
    validation
        How many of the training samples become the validation pool; 0 where the data bring one.
    mean, std
        Per-channel normalisation, applied after the partitioner's transform; None for none.
    train_owner, test_owner
        [n] client numbers 0 to N - 1 if the data names its clients (for `natural`), or None.
    notice
        One line on the replacement of the requested data ("MNIST was not found ..."), or "".
    val_x, val_y, val_owner
        The validation pool, if the data have one; None if it is drawn from the training samples.
    client_names
        The names of clients 0 to N - 1, if the data name them.
    remark
        One line that a run of the data must say, or "".
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
    val_x: np.ndarray | None = None
    val_y: np.ndarray | None = None
    val_owner: np.ndarray | None = None
    client_names: tuple[str, ...] | None = None
    remark: str = ""

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over everything that a data set handed over."""
        content = ContentHash()
        for array in (self.train_x, self.test_x):
            content.inputs(array)
        for labels in (self.train_y, self.test_y):
            content.integers(labels)
        for owners in (self.train_owner, self.test_owner):
            content.value(owners is not None)
            if owners is not None:
                content.integers(owners)
        content.value((self.classes, self.validation))
        if self.val_x is not None and self.val_y is not None:
            content.inputs(self.val_x)
            content.integers(self.val_y)
            if self.val_owner is not None:
                content.integers(self.val_owner)
        for numbers in (self.mean, self.std):
            content.value(None if numbers is None else tuple(float(v) for v in numbers))
        return content.hexdigest()

    def samples(self, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """Return the inputs and labels that a split's samples are taken from."""
        if split == "test":
            return self.test_x, self.test_y
        if split == "val" and self.val_x is not None and self.val_y is not None:
            return self.val_x, self.val_y
        return self.train_x, self.train_y


@dataclass(frozen=True, eq=False)
class ClientArrays:
    """A ready-made federation: each client's six arrays.

    `clients[i]` maps train_x, train_y, val_x, val_y, test_x, test_y to arrays. Of a client without
    val_x and val_y, a quarter of the training samples becomes its validation split.

    Attributes
    ----------
    classes, source, notice, remark
        As of `Pool`.
    names
        The clients' names, if the data name them.
    """

    clients: Sequence[Mapping[str, np.ndarray]]
    classes: int
    source: str
    notice: str = ""
    names: tuple[str, ...] | None = None
    remark: str = ""
