"""How clients really relate, where a federation knows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pflbench.federation.shards import Federation


def true_coordinates(federation: Federation) -> NDArray[np.float64] | None:
    """Return points [N, k], near each other for clients whose data are alike; None if not known.

    They are the federation's coordinates, or where it knows groups alone, one point for each group.
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
