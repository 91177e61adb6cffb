"""Boards whose truth is known: six methods of given means and luck, on made federations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pflbench.streams import stream

Values = NDArray[np.float64]

ROWS = 6
FIRST, SECOND = np.triu_indices(ROWS, 1)
POINT = 0.01

_CLIENT = 0.03
"""Standard deviation of a client's difference within a seed, as on the published boards."""

_SEED = 0.02
"""Standard deviation of a seed's difficulty, equal for all methods."""

_FAILING, _FAILURE = 0.1, 10
"""The share of runs that fail, and by how many deviations of luck they fall."""

_CHUNK = 4_000_000
"""Accuracies made together: limits the memory, and affects no number."""

LUCK = {
    "none": "no luck of seeds: clients alone differ",
    "equal": "luck of 1 point",
    "thrice": "the same, one method's three times as large",
    "failing": "the same, and one run in ten falls by 10 deviations",
    "half": "three methods' luck three times that of the others",
    "skewed": "skewed luck of 1 point, one method's three times as large",
}
"""Kinds of luck. It is given as the standard deviation over seeds of a difference between two
methods."""

EQUAL = (0.0,) * ROWS


def boards(
    count: int, seeds: int, clients: int, luck: str, means: tuple[float, ...] = EQUAL
) -> Iterator[Values]:
    """Make accuracies [B, 6, S, N], in chunks of boards; with the same luck for any means.

    Parameters
    ----------
    count, seeds, clients
        Numbers of boards, seeds and clients.
    luck
        A key of `LUCK`.
    means
        The lead of each method, in points.
    """
    rng = stream(0, f"coverage {luck}", seeds, clients)
    step = max(1, _CHUNK // (ROWS * seeds * clients))
    for start in range(0, count, step):
        here = min(step, count - start)
        hard = rng.normal(0, _SEED, (here, 1, seeds, 1)) + rng.normal(
            0, _SEED, (here, 1, seeds, clients)
        )
        own = _luck(rng, (here, ROWS, seeds), luck)[..., None]
        noise = rng.normal(0, _CLIENT / np.sqrt(2), (here, ROWS, seeds, clients))
        better = POINT * np.array(means)[:, None, None]
        yield 0.7 + hard + better + own + noise


def _luck(rng: np.random.Generator, shape: tuple[int, int, int], kind: str) -> Values:
    """Return the luck of the methods' seeds [B, 6, S]: 0 in expectation."""
    scale = np.full(shape[1], POINT / np.sqrt(2))
    if kind == "none":
        scale[:] = 0
    if kind in ("thrice", "skewed"):
        scale[0] *= 3
    if kind == "half":
        scale[: shape[1] // 2] *= 3
    drawn = rng.exponential(size=shape) - 1 if kind == "skewed" else rng.normal(size=shape)
    if kind == "failing":
        drawn = drawn - _FAILURE * ((rng.random(shape) < _FAILING) - _FAILING)
    return np.asarray(drawn * scale[:, None], dtype=np.float64)
