"""Positions of clients in a picture: their order, and their points."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pflbench.analysis.relatedness_score import Truth
from pflbench.analysis.relatedness_tables import Matrices, Matrix

_SAME_PLACE: Final = 1e-6
_ROOM: Final = 0.36
"""Radius of the circle of clients at one place, as a share of the distance to the next place."""


def order_of(found: Matrices, truth: Truth | None) -> tuple[NDArray[np.int64], str]:
    """Return the clients in an order with neighbours next to each other, and this order in words.

    By group; within it by the true coordinates, around their centre if they have two axes or
    more. Without groups and coordinates, by average linkage of the learnt similarity.
    """
    n = found.clients
    if truth is None:
        return (_by_similarity(found) if n > 2 else np.arange(n)), "by learnt similarity"
    group = np.zeros(n, dtype=np.int64) if truth.groups is None else truth.groups
    along, words = np.arange(n, dtype=np.float64), []
    if truth.groups is not None:
        words.append("group")
    if truth.coordinates is not None:
        along, words = _along(truth.coordinates), [*words, "true coordinates"]
    return np.lexsort((np.arange(n), along, group)), f"by {', then '.join(words)}"


def places(found: Matrices, truth: Truth | None) -> Matrix:
    """Return a point of the plane for each client [N, 2], of size 1 at most.

    The point follows from the true coordinates (of more than two axes, their two principal
    components), or from the group's place on a circle; without both, all clients are on a circle in
    the order of `order_of`. Clients at one place are on a small circle around it.
    """
    n = found.clients
    if truth is None:
        points = np.empty((n, 2))
        points[order_of(found, None)[0]] = _circle(n)
        return points
    points = np.zeros((n, 2))
    if truth.coordinates is not None:
        points = _plane(truth.coordinates)
    elif truth.groups is not None:
        _, group = np.unique(truth.groups, return_inverse=True)
        points = _circle(int(group.max()) + 1)[group]
    points = _spread(points / (float(np.abs(points).max()) or 1.0))
    return points / (float(np.abs(points).max()) or 1.0)


def _along(coordinates: Matrix) -> Matrix:
    """Return a number for each client that orders them: the one axis, or the angle of two."""
    flat = _plane(coordinates)
    if np.ptp(flat[:, 1]) < _SAME_PLACE * max(float(np.ptp(flat[:, 0])), _SAME_PLACE):
        along: Matrix = flat[:, 0]
        return along
    angle: Matrix = np.arctan2(flat[:, 1], flat[:, 0])
    # From the positive axis on, where a rounding error below it does not make a full turn.
    turned: Matrix = np.mod(angle + 1e-9, 2 * np.pi)
    return turned


def _plane(coordinates: Matrix) -> Matrix:
    """Return coordinates [N, k] in two axes, centred."""
    centred: Matrix = coordinates - coordinates.mean(axis=0)
    if centred.shape[1] == 1:
        beside: Matrix = np.pad(centred, ((0, 0), (0, 1)))
        return beside
    squares, vectors = np.linalg.eigh(centred.T @ centred)  # ascending
    if centred.shape[1] == 2 and squares[0] > _SAME_PLACE**2 * squares[1]:
        return centred  # as expected: a circle keeps its shape
    axes = vectors[:, :-3:-1].T
    # A principal axis has no sign of its own: the largest entry's is made positive.
    axes = axes * np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])[:, None]
    flat: Matrix = centred @ axes.T
    return flat


def _spread(points: Matrix) -> Matrix:
    """Move clients at the same place onto a circle around it."""
    each, place = np.unique(np.round(points / _SAME_PLACE), axis=0, return_inverse=True)
    centres, place = each * _SAME_PLACE, place.reshape(-1)
    if len(centres) == len(points):
        return points
    room = 1.0
    if len(centres) > 1:
        between = np.linalg.norm(centres[:, None] - centres, axis=2)
        room = _ROOM * float(between[~np.eye(len(centres), dtype=bool)].min())
    moved = points.copy()
    for k in range(len(centres)):
        here = np.flatnonzero(place == k)
        if len(here) > 1:
            moved[here] += room * _circle(len(here))
    return moved


def _circle(n: int) -> Matrix:
    angles = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _by_similarity(found: Matrices) -> NDArray[np.int64]:
    from scipy.cluster.hierarchy import leaves_list, linkage

    both = (found.similarity + found.similarity.T) / 2
    upper = np.triu_indices(found.clients, k=1)
    order: NDArray[np.int64] = leaves_list(linkage(both.max() - both[upper], "average"))
    return order.astype(np.int64)
