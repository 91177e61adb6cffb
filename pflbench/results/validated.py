"""A run's number that tuning compares: a metric on validation, at the selected round."""

from __future__ import annotations

import numpy as np

from pflbench.results.measures import PERSONAL
from pflbench.results.stored import StoredRun

ACCURACY = "accuracy"
"""What tuning compares unless it is given another metric."""

LOWER_IS_BETTER = ("loss", "brier", "ece")
"""The other columns that every run has."""


def validated(run: StoredRun, score: str) -> float | None:
    """Return a complete run's mean over clients; None if no client has a number.

    Clients for which the metric is undefined are left out. The round is the one that accuracy
    selects.

    Raises
    ------
    InputError
        The run was computed without the metric.
    """
    if score == ACCURACY:
        return float(run.summary["val_accuracy"])
    columns = run.arrow("metrics", ("round", "split", "stage", score))
    round, split, stage = (columns[n].to_numpy() for n in ("round", "split", "stage"))
    here = (round == run.summary["selected_round"]) & (split == "val") & (stage == PERSONAL)
    values = columns[score].to_numpy()[here].astype(np.float64)
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def has_score(run: StoredRun, score: str) -> bool:
    """Whether a complete run was computed with the metric."""
    return score == ACCURACY or score in run.arrow("metrics").column_names
