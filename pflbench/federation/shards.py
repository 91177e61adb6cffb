"""The data of a federation: for each split, every client's samples one client after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

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
        SHA-256 (hex) of each split's sample indices, client by client: equal hashes, equal splits.
    """

    train: Shards
    val: Shards
    test: Shards
    classes: int
    fingerprint: str
    source: str = "arrays in memory"
    index_hashes: Mapping[Split, str] = field(default_factory=dict)

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
