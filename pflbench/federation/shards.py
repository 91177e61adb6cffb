"""The data of a federation: for each split, every client's samples one client after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from pflbench.errors import InputError, UnknownNameError
from pflbench.federation.arrays import (
    ContentHash,
    as_numpy,
    check_inputs,
    check_labels,
    to_inputs,
    to_labels,
)

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class Shards:
    """One split of all N clients.

    Attributes
    ----------
    x
        [n, *shape] float32, the clients' samples one client after another.
    y
        [n] int64 labels.
    offsets
        [N + 1] int64; client i holds the samples offsets[i] to offsets[i + 1].
    """

    x: Tensor
    y: Tensor
    offsets: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """[N] int64 samples of each client."""
        return np.diff(self.offsets)

    def client(self, i: int) -> tuple[Tensor, Tensor]:
        """Return client i's samples and labels (views)."""
        part = slice(int(self.offsets[i]), int(self.offsets[i + 1]))
        return self.x[part], self.y[part]

    def only(self, clients: Sequence[int]) -> Shards:
        """Return a copy of the samples of some clients, numbered from 0 in the order given."""
        return Shards.of([self.client(i) for i in clients])

    @staticmethod
    def of(parts: Sequence[tuple[Tensor, Tensor]]) -> Shards:
        """Put the clients' samples one after another."""
        sizes = [len(y) for _, y in parts]
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return Shards(
            torch.cat([x for x, _ in parts]).to(torch.float32).contiguous(),
            torch.cat([y for _, y in parts]).to(torch.int64),
            offsets,
        )


@dataclass(frozen=True, eq=False)
class Federation:
    """N clients with a train, a validation and a test split each.

    Attributes
    ----------
    classes
        Number of classes C; labels are 0 to C - 1.
    fingerprint
        SHA-256 (hex) of the data it was made from; two federations with different fingerprints
        never share a leaderboard.
    source
        The data in words: "MNIST (60,000 + 10,000 images) from PFLBENCH_DATA".
    index_hashes
        SHA-256 (hex) of each split's sample indices, client by client (of the samples themselves
        where they came without indices): equal hashes, equal splits.
    coordinates
        [N, k] float64, where it is known how clients relate: those that are near each other have
        similar data. No method may look at it, apart from a baseline that says so.
    groups
        [N] int64, where clients belong to groups by design.
    """

    train: Shards
    val: Shards
    test: Shards
    classes: int
    fingerprint: str
    source: str = "arrays in memory"
    index_hashes: Mapping[Split, str] = field(default_factory=dict)
    coordinates: np.ndarray | None = None
    groups: np.ndarray | None = None

    @property
    def clients(self) -> int:
        """Number of clients N."""
        return len(self.train.offsets) - 1

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(self.train.x.shape[1:])

    def split(self, name: Split) -> Shards:
        """Return the shards of a split."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]

    def only(self, clients: np.ndarray) -> Federation:
        """Return a federation of a copy of some clients, numbered from 0 in the order given."""
        numbers = clients.tolist()
        return replace(
            self,
            train=self.train.only(numbers),
            val=self.val.only(numbers),
            test=self.test.only(numbers),
            index_hashes={},
            coordinates=None if self.coordinates is None else self.coordinates[clients],
            groups=None if self.groups is None else self.groups[clients],
        )

    @staticmethod
    def from_arrays(
        clients: Sequence[Mapping[str, Any]],
        classes: int | None = None,
        *,
        source: str = "arrays in memory",
    ) -> Federation:
        """Make a federation of the arrays of its clients.

        Parameters
        ----------
        clients
            For each client its arrays `train_x`, `train_y`, `val_x`, `val_y`, `test_x` and
            `test_y`, of numpy or torch. Inputs are [n, *shape]: floating point is taken as it
            is, uint8 is scaled to [0, 1]. Labels are [n] integers from 0. Every split has a
            sample or more.
        classes
            Number of classes C; None for the largest label plus one.
        source
            The data in words, for people.

        Raises
        ------
        pflbench.errors.InputError
            The arrays are not so; the message names the client and the array.
        """
        if not clients:
            raise InputError("A federation needs at least one client, and none was given.")
        if classes is not None and classes < 1:
            raise InputError(
                f"A federation of {classes} classes cannot be made: expected 1 or more."
            )
        shards: dict[Split, Shards] = {}
        hashes: dict[Split, str] = {}
        arrays = [_client_arrays(i, given, classes) for i, given in enumerate(clients)]
        shape = arrays[0]["train_x"].shape[1:]
        for i, own in enumerate(arrays):
            for name in (f"{split}_x" for split in SPLITS):
                if own[name].shape[1:] != shape:
                    raise InputError(
                        f"{name} of client {i} holds samples of shape {own[name].shape[1:]}, "
                        f"expected {shape} as in train_x of client 0."
                    )
        for split in SPLITS:
            pairs = [(own[f"{split}_x"], own[f"{split}_y"]) for own in arrays]
            shards[split] = Shards.of([(to_inputs(x), to_labels(y)) for x, y in pairs])
            content = ContentHash()
            for x, y in pairs:
                content.inputs(x)
                content.integers(y)
            hashes[split] = content.hexdigest()
        if classes is None:
            classes = 1 + max(int(part.y.max()) for part in shards.values())
        content = ContentHash()
        content.value((classes, *hashes.values()))
        return Federation(
            train=shards["train"],
            val=shards["val"],
            test=shards["test"],
            classes=classes,
            fingerprint=content.hexdigest(),
            source=source,
            index_hashes=hashes,
        )


_ARRAYS = tuple(f"{split}_{part}" for split in SPLITS for part in "xy")


def _client_arrays(
    i: int, given: Mapping[str, Any], classes: int | None
) -> Mapping[str, np.ndarray]:
    """Return the six arrays of client i, checked each for itself."""
    for name in given:
        if name not in _ARRAYS:
            raise UnknownNameError(f"array of client {i}", name, _ARRAYS)
    missing = [name for name in _ARRAYS if name not in given]
    if missing:
        raise InputError(f"Client {i} lacks {', '.join(missing)}.")
    arrays = {name: as_numpy(given[name], f"{name} of client {i}") for name in _ARRAYS}
    for split in SPLITS:
        x, y = arrays[f"{split}_x"], arrays[f"{split}_y"]
        check_inputs(x, f"{split}_x of client {i}")
        check_labels(y, len(x), classes, f"{split}_y of client {i}")
    return arrays
