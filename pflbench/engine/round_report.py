"""Reports of rounds, and the table of participation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from torch import Tensor

from pflbench.federation import Attendance
from pflbench.method import Rows

ROUND_COLUMNS: Final = (
    "round",
    "cohort",
    "uploads",
    "steps",
    "adapt_steps",
    "train_loss",
    "bytes_down",
    "bytes_up",
    "client_seconds",
    "server_seconds",
    "evaluate_seconds",
    "peak_memory_bytes",
)
"""Columns of the table of rounds before a server's telemetry."""

JOINED: Final = "joined"
LEFT: Final = "left"
FORGOTTEN: Final = "forgotten"


@dataclass(frozen=True, eq=False)
class RoundReport:
    """The report of one round.

    Attributes
    ----------
    cohort
        [K] int64 numbers of the clients that received messages.
    uploaded
        [K] bool: whether the upload arrived.
    steps
        Gradient steps, summed over the cohort.
    train_loss
        Mean, over the clients that uploaded, of each one's mean training loss in the round; NaN
        if none did.
    bytes_down, bytes_up
        Of this round, with the enrolment messages of clients that joined.
    client_seconds, server_seconds
        Wall time of local training, and of sending, aggregating and enrolling clients that join.
    received
        The cohort's rows, if the simulation records them.
    context
        The rows of the clients that uploaded, if the simulation records them.
    uploads
        What arrived of them, if the simulation records it.
    """

    cohort: Tensor
    uploaded: Tensor
    steps: int
    train_loss: float
    bytes_down: int
    bytes_up: int
    client_seconds: float
    server_seconds: float
    received: Rows
    context: Rows
    uploads: Rows


_COLUMNS: Final = {
    "round": "int64",
    "client": "int64",
    "invited": "bool",
    "uploaded": "bool",
    "work": "float64",
    "steps": "int64",
    "event": "object",
}


@dataclass(frozen=True, eq=False)
class _Entry:
    """Some clients of a round with the same event."""

    round: int
    clients: np.ndarray
    uploaded: np.ndarray
    work: np.ndarray
    steps: np.ndarray
    event: str = ""


class Register:
    """Participation in the rounds so far: one row per client that was invited, joined or left."""

    def __init__(self) -> None:
        self._before = pd.DataFrame({name: np.zeros(0, kind) for name, kind in _COLUMNS.items()})
        self._since: list[_Entry] = []

    def note(self, round: int, attendance: Attendance, steps: np.ndarray) -> None:
        """Enter a round (counted from 1).

        Parameters
        ----------
        steps
            [K] gradient steps of each client that was invited, 0 if it failed.
        """
        a = attendance
        self._came_or_went(round, a.joined, JOINED)
        done = np.where(a.uploads, a.work, 0.0)
        self._since.append(_Entry(round, a.invited, a.uploads, done, steps))
        self._came_or_went(round, np.setdiff1d(a.left, a.forgotten), LEFT)
        self._came_or_went(round, a.forgotten, FORGOTTEN)

    def table(self) -> pd.DataFrame:
        """Return round, client, invited, uploaded, work, steps, event."""
        since, self._since = self._since, []
        if since:
            sizes = [len(entry.clients) for entry in since]
            events = np.array([entry.event for entry in since], dtype=object)
            new = {
                "round": np.repeat([entry.round for entry in since], sizes),
                "client": np.concatenate([entry.clients for entry in since]),
                "invited": np.repeat(events == "", sizes),
                "uploaded": np.concatenate([entry.uploaded for entry in since]),
                "work": np.concatenate([entry.work for entry in since]),
                "steps": np.concatenate([entry.steps for entry in since]),
                "event": np.repeat(events, sizes),
            }
            frame = pd.DataFrame(new).astype(_COLUMNS)
            self._before = pd.concat([self._before, frame], ignore_index=True)
        return self._before

    def restore(self, table: pd.DataFrame) -> None:
        """Load a table that `table` returned."""
        self._before, self._since = table.astype(_COLUMNS), []

    def _came_or_went(self, round: int, clients: np.ndarray, event: str) -> None:
        none = np.zeros(len(clients))
        if len(clients):
            self._since.append(_Entry(round, clients, none.astype(bool), none, none, event))
