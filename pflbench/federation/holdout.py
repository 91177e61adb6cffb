"""A test split for data that comes without one."""

from __future__ import annotations

import numpy as np

from pflbench.streams import stream

SHARE = 5
"""One in this number of samples is for test."""


def for_test(labels: np.ndarray, owners: np.ndarray | None = None) -> np.ndarray:
    """Choose the test samples: a fifth of each owner's, in the proportions of its classes.

    The choice depends on the labels and owners alone, never on a run's seed: a data set's test
    samples are the same in every run.

    Parameters
    ----------
    labels
        [n] integer labels, none negative.
    owners
        [n] owner numbers, none negative; None if all samples have one owner. An owner of three
        or more samples has at least one on either side.

    Returns
    -------
    [n] bool, True for test.
    """
    n = len(labels)
    if n == 0:
        return np.zeros(0, bool)
    owner = np.zeros(n, np.int64) if owners is None else np.asarray(owners, np.int64)
    label = np.asarray(labels, np.int64)
    width = int(label.max()) + 1
    # one number for owner and class: sorting pairs takes many times as long
    groups, group = np.unique(owner * width + label, return_inverse=True)
    of = groups // width
    group = group.reshape(-1)
    sizes = np.bincount(group)
    # Largest remainders: each (owner, class) group gives the whole fifths of its size, and what
    # the owner still owes comes from the groups that are closest to one more.
    quota = sizes // SHARE
    owed = (np.bincount(owner) + SHARE // 2) // SHARE
    owed -= np.bincount(of, quota, minlength=len(owed)).astype(np.int64)
    rank = _rank(of, np.lexsort([np.arange(len(sizes)), -(sizes % SHARE), of]))
    quota += rank < owed[of]
    draw = stream(0, "hold-out").random(n)
    return np.asarray(_rank(group, np.lexsort([draw, group])) < quota[group])


def _rank(key: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return each element's place among those of its key, in an order sorted by key first."""
    sorted_key = key[order]
    first = np.searchsorted(sorted_key, sorted_key)
    rank = np.empty(len(key), np.int64)
    rank[order] = np.arange(len(key)) - first
    return rank
