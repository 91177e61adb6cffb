"""The interface of a participation: which clients are present, invited, upload, and work how much.

A participation answers for any round independently: its draws come from streams named by the
round, so that nothing depends on earlier rounds, or on where a run was resumed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np

from pflbench.federation.shards import Federation
from pflbench.schema.shares import count_of
from pflbench.streams import stream

NEVER: Final = np.iinfo(np.int64).max
"""The round in which a client leaves that does not."""


def _nobody() -> np.ndarray:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Attendance:
    """The participants of one round, and their work.

    Attributes
    ----------
    invited
        [K] int64 clients that are sent to.
    uploads
        [K] bool: whether the upload arrives; the other clients fail after receiving, and do not
        change.
    work
        [K] float64 in (0, 1]: the share of its local steps that each does; one step at least.
    joined, left
        int64 clients that enrol before the round begins, and that are gone from it on.
    forgotten
        The clients among those that left that the server must forget.
    """

    invited: np.ndarray
    uploads: np.ndarray
    work: np.ndarray
    joined: np.ndarray = field(default_factory=_nobody)
    left: np.ndarray = field(default_factory=_nobody)
    forgotten: np.ndarray = field(default_factory=_nobody)

    @staticmethod
    def of(clients: np.ndarray) -> Attendance:
        """Return the attendance of clients [K] that do all of their work and upload."""
        return Attendance(clients, np.ones(len(clients), dtype=bool), np.ones(len(clients)))


class Census:
    """The facts about clients that a participation may use.

    Attributes
    ----------
    seed
        The run's seed; draw from `pflbench.streams.stream` with a role of your own.
    clients, classes
        Numbers of clients N and of classes C.
    samples
        [N] int64 training samples of each client.
    """

    def __init__(self, federation: Federation, seed: int) -> None:
        self.seed, self.clients, self.classes = seed, federation.clients, federation.classes
        self.samples = federation.train.sizes
        self._train = federation.train

    @cached_property
    def labels(self) -> np.ndarray:
        """[N, C] int64: how many training samples of each class a client holds."""
        owner = np.repeat(np.arange(self.clients), self.samples)
        cells = owner * self.classes + self._train.y.cpu().numpy()
        counts = np.bincount(cells, minlength=self.clients * self.classes)
        return counts.reshape(self.clients, self.classes)

    @cached_property
    def dominant(self) -> np.ndarray:
        """[N] int64: the most frequent label of each client, the first of several."""
        most: np.ndarray = self.labels.argmax(axis=1)
        return most


@dataclass(frozen=True)
class _Fraction:
    fraction: float


class Participation:
    """Base of all participations; without overrides, a share of the clients, drawn uniformly.

    Override the places that differ. Rounds are counted from 0; every place must always return the
    same for a round.

    Parameters
    ----------
    parameters
        An instance of the plugin's parameter class; its `fraction`, if it has one, is the share of
        the present clients that is invited (default: all).
    census
        The known facts about the clients.

    Attributes
    ----------
    forgets
        Whether the server is to forget clients that leave.
    cycle
        Rounds after which presence repeats.
    """

    forgets: bool = False
    cycle: int = 1

    def __init__(self, parameters: Any, census: Census) -> None:
        self.parameters, self.census = parameters, census

    @staticmethod
    def uniform(fraction: float, census: Census) -> Participation:
        """Return the participation of a plain number."""
        return Participation(_Fraction(fraction), census)

    @property
    def fraction(self) -> float:
        """Share of the present clients that is invited."""
        return float(getattr(self.parameters, "fraction", 1.0))

    @property
    def largest(self) -> int:
        """Clients of the largest cohort that there can be; it decides no number."""
        return count_of(self.fraction, self.census.clients)

    # Places to override

    def arrivals(self) -> np.ndarray:
        """Return the round [N] int64 before which each client enrols: 0 for the beginning."""
        return np.zeros(self.census.clients, dtype=np.int64)

    def departures(self) -> np.ndarray:
        """Return the round [N] int64 from which each client is gone for good, or `NEVER`."""
        return np.full(self.census.clients, NEVER, dtype=np.int64)

    def available(self, round: int) -> np.ndarray:
        """Return which clients [N] bool are available in a round, among those not left yet."""
        return np.ones(self.census.clients, dtype=bool)

    def draw(self, round: int, there: np.ndarray) -> np.ndarray:
        """Return the cohort [K] int64, from the present clients [M] int64, M ≥ 1, in order."""
        k = count_of(self.fraction, len(there))
        if k >= len(there):
            return there
        drawn = stream(self.census.seed, "cohort", round).choice(len(there), k, replace=False)
        return there[drawn]

    def uploads(self, round: int, invited: np.ndarray) -> np.ndarray:
        """Return whether each upload of the cohort [K] arrives, [K] bool."""
        return np.ones(len(invited), dtype=bool)

    def work(self, round: int, invited: np.ndarray) -> np.ndarray:
        """Return the share [K] in (0, 1] of its local steps that each of the cohort [K] does."""
        return np.ones(len(invited))

    # Derived from them

    @cached_property
    def founders(self) -> np.ndarray:
        """The clients, ascending, that enrol before the first round."""
        return np.flatnonzero(self._stay[0] <= 0)

    def attend(self, round: int) -> Attendance:
        """Return the participants of a round; the cohort is in ascending order and may be empty."""
        arrivals, departures = self._stay
        here = (arrivals <= round) & (round < departures)
        there = np.flatnonzero(here & self.available(round))
        invited = np.sort(self.draw(round, there)) if len(there) else _nobody()
        left = np.flatnonzero((departures == round) & (arrivals <= round))
        return Attendance(
            invited=invited,
            uploads=self.uploads(round, invited),
            work=self.work(round, invited),
            joined=np.flatnonzero(arrivals == round) if round else _nobody(),
            left=left,
            forgotten=left if self.forgets else _nobody(),
        )

    @cached_property
    def _stay(self) -> tuple[np.ndarray, np.ndarray]:
        return self.arrivals(), self.departures()
