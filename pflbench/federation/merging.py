"""Partitions of the merged training and test data, each client's part then split in three.

PFLlib and pFedMe merge both, divide all of it, and split each client's samples 75 to 25. The
validation split is a quarter of a client's training samples, as for all data without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pflbench.errors import InputError
from pflbench.federation.allocation import Indices, hold_out
from pflbench.federation.pool import Pool
from pflbench.federation.splits import Split

_EPSILON = 1e-3  # pFedMe's, below a pixel's standard deviation over 0 to 255


def merged(pool: Pool, *, standardise: bool) -> Pool:
    """Return a pool with all samples in each split: training, validation and test samples.

    Parameters
    ----------
    standardise
        Subtract the mean and divide by the standard deviation of each number (pixel) over all
        samples.
    """
    own = [(pool.train_x, pool.train_y), (pool.test_x, pool.test_y)]
    if pool.val_x is not None and pool.val_y is not None:
        own.insert(1, (pool.val_x, pool.val_y))
    x = np.concatenate([x for x, _ in own])
    y = np.concatenate([y for _, y in own]).astype(np.int64)
    if standardise:
        x = x.astype(np.float32)
        x = (x - x.mean(axis=0)) / (x.std(axis=0) + np.float32(_EPSILON))
    return replace(
        pool,
        train_x=x,
        train_y=y,
        val_x=x,
        val_y=y,
        test_x=x,
        test_y=y,
        validation=0,
        train_owner=None,
        test_owner=None,
        val_owner=None,
        mean=None if standardise else pool.mean,
        std=None if standardise else pool.std,
    )


def split_in_three(
    parts: Sequence[np.ndarray], y: np.ndarray, share: float, rng: np.random.Generator, who: str
) -> dict[Split, list[Indices]]:
    """Split each client's samples at random: `share` for training, of which a quarter validates.

    Parameters
    ----------
    parts
        Each client's indices into y.
    share
        Share of a client's samples for training and validation; the rest is for test.

    Raises
    ------
    InputError
        A client has fewer than three samples.
    """
    split: dict[Split, list[Indices]] = {"train": [], "val": [], "test": []}
    for i, part in enumerate(parts):
        if len(part) < 3:
            raise InputError(
                f"{who} cannot be made: client {i} gets {len(part)} sample"
                f"{'' if len(part) == 1 else 's'}, and each needs three, for training, validation "
                "and test."
            )
        order = rng.permutation(np.asarray(part, np.int64))
        cut = min(max(2, int(share * len(part))), len(part) - 1)
        train = order[:cut]
        kept, held = hold_out(y[train], None, max(1, len(train) // 4), rng)
        split["train"].append(train[kept])
        split["val"].append(train[held])
        split["test"].append(order[cut:])
    return split
