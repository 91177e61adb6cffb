"""Participations in which the round decides which clients are present."""

from __future__ import annotations

import numpy as np

from pflbench.errors import InputError
from pflbench.federation import Census, Participation
from pflbench.federation.participations.participation_settings import SOME, ByLabel, Join, Leave
from pflbench.schema.shares import count_of
from pflbench.streams import stream


class JoinParticipation(Participation):
    """The clients that join late, and their order, are drawn once for the run."""

    parameters: Join

    def __init__(self, parameters: Join, census: Census) -> None:
        super().__init__(parameters, census)
        if parameters.share > 0 and not self.arrivals().any():
            raise InputError(
                f"join(at={parameters.at}, over={parameters.over}) lets no client join late: "
                "joining in round 1 is joining from the beginning. Expected at = 2 or later."
            )

    def arrivals(self) -> np.ndarray:
        """Return 0 for clients that are present from the beginning."""
        return _schedule(self.census, "joining", super().arrivals(), self.parameters)


class LeaveParticipation(Participation):
    """The clients that leave, and their order, are drawn once for the run."""

    parameters: Leave

    def __init__(self, parameters: Leave, census: Census) -> None:
        super().__init__(parameters, census)
        self.forgets = parameters.forget

    def departures(self) -> np.ndarray:
        """Return `NEVER` for clients that stay."""
        return _schedule(self.census, "leaving", super().departures(), self.parameters)


class ByLabelParticipation(Participation):
    """Labels take turns over a cycle, each for the same number of rounds."""

    parameters: ByLabel

    def __init__(self, parameters: ByLabel, census: Census) -> None:
        super().__init__(parameters, census)
        self.cycle = parameters.period

    def available(self, round: int) -> np.ndarray:
        """Return clients whose label has its turn; that of label c begins at c/C of the cycle."""
        period = self.parameters.period
        begins = self.census.dominant * period // self.census.classes
        awake = count_of(self.parameters.awake, period)
        there: np.ndarray = (round - begins) % period < awake
        return there


def _schedule(census: Census, role: str, otherwise: np.ndarray, p: Join | Leave) -> np.ndarray:
    """Give a share of the clients, in a drawn order, evenly spread rounds [N]."""
    order = stream(census.seed, role).permutation(census.clients)
    some = order[: SOME.count(p.share, census.clients)]
    rounds = otherwise.copy()
    rounds[some] = p.at - 1 + np.arange(len(some)) * p.over // max(1, len(some))
    return rounds
