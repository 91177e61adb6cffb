"""A run's new clients: held out before it, onboarded during it and after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from pflbench.engine import Simulation
from pflbench.engine.new_client_training import NewClientTraining
from pflbench.errors import DivergedError
from pflbench.federation import Federation
from pflbench.federation.client_names import shown
from pflbench.schema.new_clients import NewClients, drawn

TABLE: Final = "onboarding"
"""The table of new clients, and their key in the summary."""

_CLIENT: Final = "client"
"""The column that holds a client's number."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A federation in two parts: participants, and clients that join later.

    Attributes
    ----------
    participants
        The clients of the run: all of them, unless some are held out.
    numbers
        [M] their numbers in the whole federation.
    new clients
        The others, if any.
    new_numbers
        Their numbers.
    """

    participants: Federation
    numbers: np.ndarray
    new_clients: Federation | None = None
    new_numbers: np.ndarray | None = None


def hold_out(federation: Federation, new: NewClients, seed: int) -> HeldOut:
    """Part a federation.

    Raises
    ------
    InputError
        Too few clients to hold one out.
    """
    there, held = drawn(new, federation.clients, seed)
    return HeldOut(federation.only(there), there, federation.only(held), held)


class Onboarding:
    """The results of one run's new clients; empty for a run without new clients.

    Parameters
    ----------
    held, new
        The clients, and when they join.
    simulation
        Of the participants.
    """

    def __init__(self, held: HeldOut, new: NewClients | None, simulation: Simulation) -> None:
        self._held, self._new = held, new
        self._new_clients = (
            None
            if held.new_clients is None or held.new_numbers is None
            else NewClientTraining(simulation, held.new_clients, held.new_numbers.tolist())
        )
        self._tables: list[pd.DataFrame] = []

    def due(self, done: int) -> bool:
        """Return whether new clients join after this number of rounds."""
        return self._new is not None and done in self._new.onboard_at

    def play(self, done: int, *, last: bool) -> None:
        """Onboard them, if that is due: always after the last round."""
        due = last or self.due(done)
        if self._new is not None and self._new_clients is not None and due:
            self._tables.append(self._new_clients.table(done, self._new))

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the table so far; empty without held-out clients, or before the first joined."""
        if not self._tables:
            return {}
        return {TABLE: pd.concat(self._tables, ignore_index=True)}

    def restore(self, tables: Mapping[str, pd.DataFrame]) -> None:
        """Load the table of a checkpoint."""
        self._tables = [tables[TABLE]] if TABLE in tables else []

    def numbered(self, tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
        """Return the tables of participants with the numbers that they have in the federation."""
        if self._new is None:
            return dict(tables)
        numbers = self._held.numbers
        return {
            name: table
            if name == TABLE or _CLIENT not in table
            else table.assign(**{_CLIENT: numbers[table[_CLIENT].to_numpy(np.int64)]})
            for name, table in tables.items()
        }

    def renumbered(self, error: DivergedError) -> DivergedError:
        """Return an error of the simulation with the client's number and name in the federation."""
        held = self._held
        if error.new_client:
            assert held.new_clients is not None
            assert held.new_numbers is not None
            names, numbers = held.new_clients.names, held.new_numbers
            place = int(np.flatnonzero(numbers == error.client)[0])
        else:
            names, numbers, place = held.participants.names, held.numbers, error.client
        return DivergedError(
            error.round,
            int(numbers[place]),
            error.step,
            new_client=error.new_client,
            name="" if names is None else shown(names[place]),
        )

    def summary(self, participants: float) -> dict[str, Any]:
        """Return the summary's part: accuracies after the last round, by shots.

        Parameters
        ----------
        participants
            Mean test accuracy of the participants after the last round.
        """
        if not self._tables:
            return {}
        table = self._tables[-1]
        last = table[table["round"] == table["round"].max()]
        accuracy = (last["correct"] / last["samples"]).groupby(last["shots"], sort=False).mean()
        return {
            TABLE: {
                "round": int(last["round"].iloc[0]),
                "clients": int(last["client"].nunique()),
                "participants_accuracy": participants,
                "accuracy": {str(shots): float(value) for shots, value in accuracy.items()},
            }
        }
