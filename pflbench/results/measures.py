"""A run's numbers: accuracy by client and round, and the choice of the round.

The run loop's summary and the leaderboard both go through these definitions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pflbench.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PERSONAL = "personal"
"""The stage of a client's personal model, the one that a leaderboard compares."""

GLOBAL = "global"
"""The stage of a method's model of all clients, besides its personal ones."""

STAGES = "stages"
"""Name of the table of other stages than the personal one, with the columns of "metrics"."""

WORST_SHARE = 10
"""The worst tenth: one client in this number."""


@dataclass(frozen=True)
class ClientTable:
    """Accuracy of every client's personal model on one split, after every evaluated round.

    Attributes
    ----------
    rounds
        [R], ascending.
    clients
        [N], ascending.
    accuracy
        [R, N] in [0, 1].
    samples
        [N] samples that a client's accuracy is a mean over.
    """

    rounds: Ints
    clients: Ints
    accuracy: Floats
    samples: Ints

    def means(self) -> Floats:
        """Return the mean over clients after every evaluated round, [R]."""
        means: Floats = self.accuracy.mean(axis=1)
        return means

    def at(self, round: int) -> Floats:
        """Return the clients' accuracies after a round, [N]."""
        row: Floats = self.accuracy[int(np.flatnonzero(self.rounds == round)[0])]
        return row


def client_table(
    metrics: Mapping[str, Any] | pd.DataFrame, split: str, stage: str = PERSONAL
) -> ClientTable:
    """Arrange one split of a metrics table by round and client.

    Parameters
    ----------
    metrics
        Columns round, client, split, stage, samples, correct: a data frame, or arrays by name.
    split
        "val" or "test".
    stage
        Which of a client's models.

    Raises
    ------
    InputError
        The split is missing, or a client lacks a round of another client: a mean would be over a
        part of the clients.
    """
    here = (np.asarray(metrics["split"]) == split) & (np.asarray(metrics["stage"]) == stage)
    names = ("round", "client", "samples", "correct")
    return by_client({name: np.asarray(metrics[name])[here] for name in names}, split, stage)


def by_client(part: Mapping[str, Any], split: str, stage: str = PERSONAL) -> ClientTable:
    """Arrange the rows of one split and stage by round and client, as `client_table` does.

    Parameters
    ----------
    part
        Arrays round, client, samples, correct, of that split and stage only.
    split, stage
        Their names in an error.

    Raises
    ------
    InputError
        As `client_table`.
    """
    round_of, client_of, samples, correct = (
        part[name] for name in ("round", "client", "samples", "correct")
    )
    rounds, row = np.unique(round_of, return_inverse=True)
    clients, column = np.unique(client_of, return_inverse=True)
    shape = (len(rounds), len(clients))
    if not len(rounds):
        raise InputError(f"The {split} split has no {stage} metrics.")
    filled = np.zeros(shape, dtype=np.int64)
    np.add.at(filled, (row, column), 1)
    if (filled != 1).any():
        r, c = np.argwhere(filled != 1)[0]
        raise InputError(
            f"The metrics of the {split} split hold client {clients[c]} {filled[r, c]} times "
            f"after round {rounds[r]}: expected once."
        )
    if (samples <= 0).any():
        raise InputError(f"The metrics hold a client without samples in the {split} split.")
    accuracy, sizes = np.empty(shape), np.empty(shape, dtype=np.int64)
    accuracy[row, column] = correct / samples
    sizes[row, column] = samples
    return ClientTable(rounds.astype(np.int64), clients.astype(np.int64), accuracy, sizes[0])


def selected_round(val: ClientTable) -> int:
    """Return the round chosen on validation: the first with the highest mean over clients.

    Means that differ by less than 1e-12, which is rounding, are equal.
    """
    return int(val.rounds[int(np.argmax(np.round(val.means(), 12)))])


def worst_tenth(values: Floats) -> float:
    """Return the mean over the worst tenth of clients (a tenth rounded up, so at least one)."""
    count = -(-len(values) // WORST_SHARE)
    return float(np.sort(values)[:count].mean())
