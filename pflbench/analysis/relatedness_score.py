"""How near a learnt relatedness comes to the truth.

Scores are of the measure (all pairs) and of the graph (the neighbours that were chosen), taken
client by client and averaged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pflbench.analysis.relatedness_tables import Matrices, Matrix

SCORES = ("relatedness_rank_correlation", "relatedness_precision", "relatedness_same_group")
"""Keys of a summary."""

_TIE = 1e-6
"""Numbers closer than this share of their range are equal up to rounding."""


@dataclass(frozen=True, eq=False)
class Truth:
    """How clients really relate.

    Attributes
    ----------
    closeness
        [N, N], larger for more similar clients: the negative distance of their coordinates, or, if
        only groups are known, whether they share a group.
    coordinates, groups
        [N, k] and [N], each if known.
    """

    closeness: Matrix
    coordinates: Matrix | None
    groups: NDArray[np.int64] | None


def truth_of(coordinates: Matrix | None, groups: NDArray[np.int64] | None) -> Truth | None:
    """Return the true relations of clients; None if unknown."""
    if coordinates is not None:
        squares = np.square(coordinates).sum(axis=1)
        products = coordinates @ coordinates.T
        distance = np.sqrt(np.maximum(squares[:, None] + squares - 2 * products, 0.0))
        return Truth(-distance, coordinates, groups)
    if groups is not None:
        return Truth((groups[:, None] == groups).astype(np.float64), None, groups)
    return None


def scores(found: Matrices, truth: Truth | None) -> dict[str, float]:
    """Return the scores that are defined, by their key.

    - relatedness_rank_correlation: for each client, Spearman's correlation between its similarity
      to the others and their true closeness; mean over the clients for which it exists (it does not
      if all others are equally close, or equally similar).
    - relatedness_precision: the share of a client's k neighbours in the graph that are among the
      k truly nearest, ties included. Needs coordinates.
    - relatedness_same_group: the share of a client's neighbours that are in its group. Needs
      groups; clients that are alone in theirs do not count.
    """
    if truth is None or found.clients < 2:
        return {}
    told = zip(
        SCORES,
        (_rank_correlation(found, truth), _precision(found, truth), _same_group(found, truth)),
        strict=True,
    )
    return {key: value for key, value in told if value is not None}


def chance(truth: Truth, neighbours: int) -> dict[str, float]:
    """Return the scores of a graph of k random neighbours, by key."""
    n = len(truth.closeness)
    expected = {SCORES[0]: 0.0}
    if truth.coordinates is not None:
        right = [_nearest(truth, i, neighbours).sum() / (n - 1) for i in range(n)]
        expected[SCORES[1]] = float(np.mean(right))
    if truth.groups is not None:
        fellows = _fellows(truth.groups).sum(axis=1)
        if (fellows > 0).any():
            expected[SCORES[2]] = float(np.mean(fellows[fellows > 0] / (n - 1)))
    return expected


def neighbours_of(found: Matrices, client: int) -> NDArray[np.int64]:
    """Return a client's neighbours in the graph, the heaviest first."""
    weight = found.weight[client].copy()
    weight[client] = 0.0
    order = np.argsort(-weight, kind="stable")
    chosen: NDArray[np.int64] = order[weight[order] > 0]
    return chosen


def right_neighbours(found: Matrices, truth: Truth) -> NDArray[np.bool_]:
    """Return [N, N]: whether the graph's edge from one client to another is right.

    Right are a client's truly nearest clients, as many as its neighbours, ties included; if only
    groups are known, clients of the same group.
    """
    if truth.coordinates is None:
        return (found.weight > 0) & (truth.closeness > 0)
    right = np.zeros(found.weight.shape, dtype=bool)
    for i in range(found.clients):
        chosen = neighbours_of(found, i)
        if len(chosen):
            right[i, chosen] = _nearest(truth, i, len(chosen))[chosen]
    return right


def _rank_correlation(found: Matrices, truth: Truth) -> float | None:
    from scipy.stats import spearmanr  # takes a quarter of a second, so only when needed

    each = []
    for i in range(found.clients):
        others = np.arange(found.clients) != i
        learnt, true = (_levels(m[i, others]) for m in (found.similarity, truth.closeness))
        if learnt.any() and true.any():
            each.append(float(spearmanr(learnt, true).statistic))
    return float(np.mean(each)) if each else None


def _precision(found: Matrices, truth: Truth) -> float | None:
    if truth.coordinates is None:
        return None
    right, edges = right_neighbours(found, truth), found.weight > 0
    np.fill_diagonal(edges, False)
    each = [float(right[i, edges[i]].mean()) for i in range(found.clients) if edges[i].any()]
    return float(np.mean(each)) if each else None


def _same_group(found: Matrices, truth: Truth) -> float | None:
    if truth.groups is None:
        return None
    fellows = _fellows(truth.groups)
    each = [
        float(fellows[i, chosen].mean())
        for i in range(found.clients)
        if fellows[i].any() and len(chosen := neighbours_of(found, i))
    ]
    return float(np.mean(each)) if each else None


def _nearest(truth: Truth, client: int, k: int) -> NDArray[np.bool_]:
    """Return whether each client is one of the k truly nearest to one, or as near as these."""
    others = np.arange(len(truth.closeness)) != client
    level = np.full(len(others), -1, dtype=np.int64)
    level[others] = _levels(truth.closeness[client, others])
    k = min(k, int(others.sum()))
    near: NDArray[np.bool_] = others & (level >= np.sort(level[others])[-k])
    return near


def _fellows(groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = groups[:, None] == groups
    return same & ~np.eye(len(groups), dtype=bool)


def _levels(values: Matrix) -> NDArray[np.int64]:
    """Return the ranks of values, from 0; values that differ by rounding share a rank."""
    order = np.argsort(values, kind="stable")
    ascending = values[order]
    steps = np.diff(ascending, prepend=ascending[:1]) > _TIE * max(np.ptp(values), 1e-12)
    levels = np.empty(len(values), dtype=np.int64)
    levels[order] = np.cumsum(steps)
    return levels
