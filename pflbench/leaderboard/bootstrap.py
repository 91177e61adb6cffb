"""Hierarchical bootstrap: seeds are drawn, then clients within each drawn seed.

All rows of a board meet the same draws. So boards can be made again to the last digit, and the
difference between two rows of the board has the interval of a paired comparison.
"""

from __future__ import annotations

import numpy as np

from pflbench.leaderboard.protocol import CONFIDENCE, RESAMPLES
from pflbench.results.measures import Floats
from pflbench.streams import stream

_CELLS = 4_000_000
"""Draws made at once: bounds the memory, and decides no number."""


def resampled_means(values: Floats, resamples: int = RESAMPLES) -> Floats:
    """Return the mean of every row in every resample.

    Parameters
    ----------
    values
        [R, S, N]: rows, seeds, clients.
    resamples
        Number B of resamples.

    Returns
    -------
    Floats
        [B, R].
    """
    rows, seeds, clients = values.shape
    seed_rng = stream(0, "leaderboard seeds", seeds, clients)
    client_rng = stream(0, "leaderboard clients", seeds, clients)
    drawn = seed_rng.integers(seeds, size=resamples * seeds)
    by_seed = values.reshape(rows * seeds, clients).T.copy()
    means = np.empty((resamples * seeds, rows))
    step = max(1, _CELLS // clients)
    for start in range(0, len(drawn), step):
        seed_of = drawn[start : start + step]
        slots = len(seed_of)
        picks = client_rng.integers(clients, size=(slots, clients))
        picks += np.arange(slots)[:, None] * clients
        counts = np.bincount(picks.ravel(), minlength=slots * clients).reshape(slots, clients)
        mean = (counts.astype(np.float64) @ by_seed / clients).reshape(slots, rows, seeds)
        means[start : start + slots] = mean[np.arange(slots), :, seed_of]
    averaged: Floats = means.reshape(resamples, seeds, rows).mean(axis=1)
    return averaged


def interval(resampled: Floats) -> tuple[Floats, Floats]:
    """Return the percentile interval's ends for every column of [B, R], each [R]."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail], axis=0)
    return low, high


def ranks(low: Floats, high: Floats) -> list[int]:
    """Rank rows by intervals: one more than the number of rows wholly above."""
    return [1 + int((low > top).sum()) for top in high]
