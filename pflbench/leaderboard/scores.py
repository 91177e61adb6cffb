"""What leaderboards and comparisons need of one complete run, read from its tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pflbench.errors import InputError
from pflbench.relatedness.score import SCORES as RELATED
from pflbench.results import StoredRun, client_table, selected_round
from pflbench.results.measures import Floats, Ints

COSTS = ("local_steps", "adapt_steps", "bytes_up", "bytes_down", "seconds")
KEPT = (*COSTS, *RELATED)
"""What a run's summary says, where it does, and boards average over seeds."""

_COLUMNS = ("round", "client", "split", "stage", "samples", "correct")


@dataclass(frozen=True)
class Scores:
    """Numbers of one complete run: accuracies in [0, 1], by client where [N].

    Attributes
    ----------
    clients, test, samples
        [N] numbers of the clients that were tested, their test accuracy at the selected round,
        and the test samples that it is a mean over.
    selected
        The round selected on validation.
    val, last, best
        Means over clients: on validation at the selected round; on test after the last round and
        at the round that is best on test.
    kept
        What the summary says of `KEPT`.
    """

    clients: Ints
    test: Floats
    samples: Ints
    selected: int
    val: float
    last: float
    best: float
    kept: Mapping[str, float]


def scores(run: StoredRun) -> Scores:
    """Read the scores of a complete run.

    Raises
    ------
    InputError
        Its metrics are missing, damaged or have gaps; the message names them.
    """
    columns = run.arrow("metrics", _COLUMNS)
    metrics = {name: columns[name].to_numpy() for name in _COLUMNS}
    try:
        val, test = client_table(metrics, "val"), client_table(metrics, "test")
        if not np.array_equal(val.rounds, test.rounds):
            raise InputError("Validation and test were evaluated after different rounds.")
    except InputError as error:
        raise InputError(f"The metrics of run {run.id} cannot be used: {error}") from error
    selected = selected_round(val)
    means = test.means()
    return Scores(
        clients=test.clients,
        test=test.at(selected),
        samples=test.samples,
        selected=selected,
        val=float(val.at(selected).mean()),
        last=float(means[-1]),
        best=float(means.max()),
        kept={k: run.summary[k] for k in KEPT if isinstance(run.summary.get(k), (int, float))},
    )
