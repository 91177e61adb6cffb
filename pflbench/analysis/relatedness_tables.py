"""The table of all pairs of clients, and its matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pflbench.errors import InputError

if TYPE_CHECKING:  # boards are made without it
    import pandas as pd

Matrix = NDArray[np.float64]

_VALUES = ("similarity", "weight", "propagation")


@dataclass(frozen=True, eq=False)
class Matrices:
    """A server's learnt relations of all pairs of clients; row i is for client i as listener.

    Attributes
    ----------
    similarity
        [N, N] similarity of two clients; the diagonal has no meaning.
    weight
        [N, N] the graph; 0 without an edge.
    propagation
        [N, N] how much of each client's model reaches another.
    numbers
        [N] the clients' numbers, ascending; without clients that are held out of a run.
    """

    similarity: Matrix
    weight: Matrix
    propagation: Matrix
    numbers: NDArray[np.int64]

    @property
    def clients(self) -> int:
        """Number of clients N."""
        return len(self.weight)


def relatedness_table(found: Matrices) -> pd.DataFrame:
    """Return a row for every two clients: client, other, similarity, weight, propagation."""
    n = found.clients
    kept = {name: getattr(found, name).ravel().astype(np.float32) for name in _VALUES}
    import pandas as pd

    return pd.DataFrame(
        {"client": np.repeat(found.numbers, n), "other": np.tile(found.numbers, n), **kept}
    )


def matrices_of(table: pd.DataFrame) -> Matrices:
    """Return the matrices of a table.

    Raises
    ------
    InputError
        It does not have every two clients once.
    """
    ordered = table.sort_values(["client", "other"], kind="stable")
    numbers = np.unique(ordered["client"].to_numpy(np.int64))
    n = len(numbers)
    pairs = ordered[["client", "other"]].to_numpy(np.int64)
    wanted = np.stack([np.repeat(numbers, n), np.tile(numbers, n)], axis=1)
    if not n or not np.array_equal(pairs, wanted):
        raise InputError("The table of relatedness is damaged: expected every two clients once.")
    similarity, weight, propagation = (
        ordered[name].to_numpy(np.float64).reshape(n, n) for name in _VALUES
    )
    return Matrices(similarity, weight, propagation, numbers)


def coordinates_table(coordinates: Matrix, numbers: NDArray[np.int64]) -> pd.DataFrame:
    """Return a row for every client and axis: client, axis, value."""
    n, k = coordinates.shape
    import pandas as pd

    return pd.DataFrame(
        {
            "client": np.repeat(numbers, k),
            "axis": np.tile(np.arange(k), n),
            "value": np.asarray(coordinates, dtype=np.float64).ravel(),
        }
    )


def coordinates_of(table: pd.DataFrame) -> Matrix:
    """Return the coordinates [N, k] of a table.

    Raises
    ------
    InputError
        A client lacks an axis that another has.
    """
    wide = table.pivot_table(index="client", columns="axis", values="value", aggfunc="sum")
    if wide.size != len(table) or wide.isna().to_numpy().any():
        raise InputError("The table of coordinates is damaged: expected every client's every axis.")
    return wide.to_numpy(np.float64)
