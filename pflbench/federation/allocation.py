"""Giving out samples: shares to whole samples, the validation pool, and the repair of gaps.

Inside this module an allocation is an *owner vector*: for each of n samples the client that
holds it, or -1. So no sample can be held twice, and moving one is a single assignment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pflbench.errors import InputError
from pflbench.federation.splits import SPLIT_WORDS, SPLITS, Split

Indices = NDArray[np.int64]

_WHOLE: Final = 1e-9
"""A quota this close below a whole number is that number: it got there by rounding error."""


def deal(
    shares: NDArray[np.float64], labels: NDArray[np.integer], rng: np.random.Generator
) -> list[Indices]:
    """Give out samples class by class so that client i gets the part shares[i, c] of class c.

    A client's count in a class is its exact quota rounded down or up. Largest remainders decide
    which clients are rounded up, and a client that earlier classes rounded down comes first: so its
    total stays close to its quota, even if every single quota is below one.

    Parameters
    ----------
    shares
        [N, C] weights >= 0. A column is scaled to sum 1; a column of zeros means that the class
        is not given out.
    labels
        [n] integer labels, 0 to C - 1.

    Returns
    -------
    N arrays of sample indices, each sorted; no index twice.
    """
    clients, classes = shares.shape
    owner = np.full(len(labels), -1, dtype=np.int64)
    owed = np.zeros(clients)
    by_class = np.argsort(labels, kind="stable")
    ends = np.cumsum(np.bincount(labels, minlength=classes))
    for c in range(classes):
        members = by_class[ends[c - 1] if c else 0 : ends[c]]
        counts = _apportion(shares[:, c], len(members), owed, rng)
        takers = np.repeat(np.arange(clients), counts)
        owner[rng.permutation(members)[: len(takers)]] = takers
    return by_client(owner, clients)


def by_client(owner: Indices, clients: int) -> list[Indices]:
    """Return the samples of each client, sorted, from an owner vector [n]."""
    order = np.argsort(owner, kind="stable")
    ends = np.cumsum(np.bincount(owner + 1, minlength=clients + 1))
    return [order[ends[i] : ends[i + 1]] for i in range(clients)]


def owners_of(
    parts: Mapping[Split, Sequence[NDArray[np.integer]]],
    labels: Mapping[Split, NDArray[np.integer]],
    clients: int,
    *,
    who: str,
) -> dict[Split, Indices]:
    """Check a partitioner's result and turn it into owner vectors.

    Parameters
    ----------
    who
        The partitioner's name, for messages.

    Raises
    ------
    InputError
        A split is missing, a split has not one array a client, an index is out of range, or a
        sample is given out twice.
    """
    vectors: dict[Split, Indices] = {}
    for split in SPLITS:
        n, word = len(labels[split]), SPLIT_WORDS[split]
        if split not in parts or len(parts[split]) != clients:
            given = len(parts[split]) if split in parts else 0
            raise InputError(
                f"The partitioner {who} returned {given} clients for the {word} split, "
                f"expected {clients}."
            )
        arrays = [np.asarray(part) for part in parts[split]]
        if any(a.ndim != 1 or (a.size and a.dtype.kind not in "iu") for a in arrays):
            raise InputError(
                f"The partitioner {who} returned something other than one-dimensional arrays of "
                f"sample indices for the {word} split."
            )
        index = np.concatenate([a.astype(np.int64) for a in arrays])
        if index.size and (index.min() < 0 or index.max() >= n):
            wrong = index.min() if index.min() < 0 else index.max()
            raise InputError(
                f"The partitioner {who} gave out {word} sample {wrong}, but the samples are "
                f"0 to {n - 1}."
            )
        counts = np.bincount(index, minlength=n)
        if (counts > 1).any():
            raise InputError(
                f"The partitioner {who} gave out {word} sample {int(counts.argmax())} twice."
            )
        vectors[split] = np.full(n, -1, dtype=np.int64)
        vectors[split][index] = np.repeat(np.arange(clients), [len(a) for a in arrays])
    return vectors


def repair(
    owners: Mapping[Split, Indices],
    labels: Mapping[Split, NDArray[np.integer]],
    clients: int,
    classes: int,
    *,
    who: str,
) -> None:
    """Give every client without a sample in some split one, in place.

    The sample comes from the client richest in a class that the receiver holds in its other splits
    (most frequent class first), else from the client with most samples. No client gives its last
    sample, and at most N samples per split are moved.

    Raises
    ------
    InputError
        The partitioner assigned fewer samples than there are clients.
    """
    for split in SPLITS:
        owner, y = owners[split], labels[split]
        counts = _table(owner, y, clients, classes)
        sizes = counts.sum(axis=1)
        gaps = np.flatnonzero(sizes == 0)
        if not len(gaps):
            continue
        if sizes.sum() < clients:
            raise InputError(
                f"The partitioner {who} gave out {sizes.sum()} {SPLIT_WORDS[split]} samples, "
                f"too few for {clients} clients with at least one each."
            )
        held = sum(
            (_table(owners[s], labels[s], clients, classes) for s in SPLITS if s != split),
            start=np.zeros_like(counts),
        )
        for i in gaps:
            donor, c = _donor(counts, sizes, held[i])
            owner[np.flatnonzero((owner == donor) & (y == c))[-1]] = i
            counts[donor, c] -= 1
            counts[i, c] += 1
            sizes[donor] -= 1
            sizes[i] += 1


def hold_out(
    labels: NDArray[np.integer],
    owners: NDArray[np.integer] | None,
    count: int,
    rng: np.random.Generator,
) -> tuple[Indices, Indices]:
    """Split samples in two at random, stratified by class, or by owner and class.

    Parameters
    ----------
    labels, owners
        [n] labels and, if the data names its clients, client numbers.
    count
        Samples to hold out, 1 to n - 1. With owners it is a target: an owner of two or more samples
        has at least one on each side.

    Returns
    -------
    The sorted indices that stay, and the held-out ones.
    """
    keys = labels if owners is None else np.asarray(owners) * (int(labels.max()) + 1) + labels
    strata = np.unique(keys, return_inverse=True)[1]
    part = count / len(labels)
    shares = np.tile([[1 - part], [part]], (1, int(strata.max()) + 1))
    kept, held = deal(shares, strata, rng)
    if owners is None:
        return kept, held
    is_held = np.zeros(len(labels), dtype=bool)
    is_held[held] = True
    for side in (True, False):
        having = np.bincount(owners[is_held == side], minlength=int(owners.max()) + 1)
        total = np.bincount(owners)
        for i in np.flatnonzero((having == 0) & (total >= 2)):
            is_held[rng.choice(np.flatnonzero(owners == i))] = side
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)


def _apportion(
    shares: NDArray[np.float64], total: int, owed: NDArray[np.float64], rng: np.random.Generator
) -> Indices:
    """Round the quotas of `total` samples to whole numbers; `owed` [N] carries the remainders."""
    weight = shares.sum()
    if total == 0 or weight <= 0:
        return np.zeros(len(shares), dtype=np.int64)
    quota = shares / weight * total
    counts: Indices = np.floor(quota + _WHOLE).astype(np.int64)
    left = total - int(counts.sum())
    if left:
        fraction = quota - counts
        claim = np.where(shares > 0, np.where(fraction > _WHOLE, fraction + owed, -1e9), -np.inf)
        first = np.lexsort((rng.random(len(shares)), -claim))[:left]
        counts[first] += 1
    owed += quota - counts
    return counts


def _table(owner: Indices, y: NDArray[np.integer], clients: int, classes: int) -> Indices:
    """Count each client's samples of each class: [N, C]."""
    held = owner >= 0
    cells = np.bincount(owner[held] * classes + y[held], minlength=clients * classes)
    table: Indices = cells.reshape(clients, classes)
    return table


def _donor(counts: Indices, sizes: Indices, wanted: Indices) -> tuple[int, int]:
    """Choose the giver of a sample, and its class, for a client that holds `wanted` [C]."""
    can_give = sizes > 1
    for c in np.argsort(-wanted, kind="stable")[: np.count_nonzero(wanted)]:
        column = np.where(can_give, counts[:, c], 0)
        donor = int(column.argmax())
        if column[donor] > 0:
            return donor, int(c)
    donor = int(sizes.argmax())
    return donor, int(counts[donor].argmax())
