"""Participations that differ in their draws for a round."""

from __future__ import annotations

import numpy as np

from pflbench.federation import Participation
from pflbench.federation.participations.participation_settings import (
    SOME,
    BySize,
    Dropout,
    Stragglers,
)
from pflbench.schema.shares import count_of
from pflbench.streams import stream


class BySizeParticipation(Participation):
    """Clients are drawn one after the other, each with probability in proportion to its samples."""

    parameters: BySize

    def draw(self, round: int, there: np.ndarray) -> np.ndarray:
        """Draw without replacement: the next of those not drawn yet."""
        k = count_of(self.fraction, len(there))
        if k >= len(there):
            return there
        samples = self.census.samples[there].astype(np.float64)
        rng = stream(self.census.seed, "cohort", round)
        drawn: np.ndarray = rng.choice(there, k, replace=False, p=samples / samples.sum())
        return drawn


class DropoutParticipation(Participation):
    """Each invited client fails with the same probability, independently of the others."""

    parameters: Dropout

    def uploads(self, round: int, invited: np.ndarray) -> np.ndarray:
        """Draw a number for every client, so that a client's luck does not depend on the cohort."""
        luck = stream(self.census.seed, "dropout", round).random(self.census.clients)
        holds: np.ndarray = luck[invited] >= self.parameters.p
        return holds


class StragglersParticipation(Participation):
    """The slow clients are drawn once for the run."""

    parameters: Stragglers

    def work(self, round: int, invited: np.ndarray) -> np.ndarray:
        """Return a share below 1 for the slow clients."""
        n = self.census.clients
        order = stream(self.census.seed, "stragglers").permutation(n)
        slow = order[: SOME.count(self.parameters.share, n)]
        return np.where(np.isin(invited, slow), self.parameters.work, 1.0)
