"""Relations of clients: the truth for a baseline, and the tables at the end of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pflbench.analysis.relatedness_score import scores, truth_of
from pflbench.analysis.relatedness_tables import Matrices, coordinates_table, relatedness_table
from pflbench.federation import Federation
from pflbench.method import Server

KEPT_UP_TO = 2_000
"""Clients up to which every pair of them is kept."""


def relatedness_of(
    server: Server[Any], federation: Federation, numbers: NDArray[np.int64]
) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
    """Return the tables at a run's end and the scores for its summary; both may be empty.

    Nothing is kept of more than 2,000 clients.

    Parameters
    ----------
    server, federation
        Of the participants.
    numbers
        [N] their numbers.
    """
    if federation.clients > KEPT_UP_TO:
        return {}, {}
    learnt = server.relatedness()
    if learnt is None:
        return {}, {}
    similarity, weight, propagation = (
        matrix.detach().cpu().numpy().astype(np.float64) for matrix in learnt
    )
    found = Matrices(similarity, weight, propagation, numbers)
    tables = {"relatedness": relatedness_table(found)}
    if federation.coordinates is not None:
        tables["coordinates"] = coordinates_table(federation.coordinates, numbers)
    return tables, scores(found, truth_of(federation.coordinates, federation.groups))
