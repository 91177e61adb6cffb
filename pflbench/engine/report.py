"""What a round did, and the table of who took part in the rounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from torch import Tensor

from pflbench.federation import Attendance
from pflbench.method import Rows

JOINED: Final = "joined"
LEFT: Final = "left"
FORGOTTEN: Final = "forgotten"


@dataclass(frozen=True, eq=False)
class RoundReport:
    """What one round did.

    Attributes
    ----------
    cohort
        [K] int64 client numbers: those that were sent to.
    uploaded
        [K] bool: whose upload arrived.
    steps
        Gradient steps, summed over the cohort.
    train_loss
        Mean, over those that uploaded, of each one's mean training loss in the round; NaN if
        nobody did.
    bytes_down, bytes_up
        Of this round, with what clients that joined enrolled with.
    client_seconds, server_seconds
        Wall time of local training, and of sending, aggregating and taking up clients that join.
    received
        The cohort's rows, if the simulation records them.
    context
        The rows of those that uploaded, if the simulation records them.
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


_COLUMNS: Final = {
    "round": "int64", "client": "int64", "invited": "bool", "uploaded": "bool", "work": "float64",
    "steps": "int64", "event": "object",
}  # fmt: skip


class Register:
    """Who took part in the rounds so far: a row a client that was invited, joined or left."""

    def __init__(self) -> None:
        self._before = pd.DataFrame({name: np.zeros(0, kind) for name, kind in _COLUMNS.items()})
        self._since: list[tuple[object, ...]] = []

    def note(self, round: int, attendance: Attendance, steps: np.ndarray) -> None:
        """Enter a round (counted from 1).

        Parameters
        ----------
        steps
            [K] gradient steps of each client that was invited, 0 if it failed.
        """
        a = attendance
        work = np.where(a.uploads, a.work, 0.0)
        self._since += [
            (round, a.joined, False, False, 0.0, 0, JOINED),
            (round, a.invited, True, a.uploads, work, steps, ""),
            (round, np.setdiff1d(a.left, a.forgotten), False, False, 0.0, 0, LEFT),
            (round, a.forgotten, False, False, 0.0, 0, FORGOTTEN),
        ]

    def table(self) -> pd.DataFrame:
        """Return round, client, invited, uploaded, work, steps, event."""
        blocks = [block for block in self._since if len(np.atleast_1d(block[1]))]
        if blocks:
            sizes = [len(np.atleast_1d(block[1])) for block in blocks]
            columns = zip(*blocks, strict=True)
            new = {
                name: np.concatenate(
                    [np.broadcast_to(np.asarray(v, kind), n) for v, n in zip(c, sizes, strict=True)]
                )
                for (name, kind), c in zip(_COLUMNS.items(), columns, strict=True)
            }
            self._before = pd.concat([self._before, pd.DataFrame(new)], ignore_index=True)
        self._since = []
        return self._before

    def restore(self, table: pd.DataFrame) -> None:
        """Take up a table that `table` returned."""
        self._before, self._since = table.astype(_COLUMNS), []
