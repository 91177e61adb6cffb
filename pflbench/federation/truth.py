"""How clients really relate, if a federation knows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pflbench.federation.shards import Federation


def true_coordinates(federation: Federation) -> NDArray[np.float64] | None:
    """Return points [N, k], close to each other for clients with similar data; None if unknown.

    They are the federation's coordinates or, if it has only groups, one point for each group.
    Their mean is zero and their mean square 1, so that distances compare between federations.
    """
    points: NDArray[np.float64]
    if federation.coordinates is not None:
        points = np.asarray(federation.coordinates, dtype=np.float64)
    elif federation.groups is not None:
        _, place = np.unique(federation.groups, return_inverse=True)
        points = np.eye(int(place.max()) + 1)[place]
    else:
        return None
    points = points - points.mean(axis=0)
    size = float(np.sqrt(np.square(points).sum(axis=1).mean()))
    return points / (size or 1.0)
