"""L2GD's server half: the coin ξ, and the mean x̄ (Hanzely and Richtárik 2020, Algorithm 1)."""

from __future__ import annotations

from torch import Tensor

from pflbench.method import Rows
from pflbench.streams import stream
from pflbench_algorithms.l2gd import L2GD
from pflbench_algorithms.weighted_server import WeightedServer


class L2GDServer(WeightedServer[L2GD]):
    """Tosses ξ until it falls on local training: that ends a round.

    Attributes
    ----------
    w
        x̄ of those who uploaded last.
    """

    def aggregations(self, round: int) -> int:
        """Return m: how often ξ = 1 before the round's local training."""
        rng = stream(self.setup.seed, "aggregations", round)
        return int(rng.geometric(1.0 - self.parameters.p)) - 1

    def send(self, round: int, cohort: Tensor) -> Rows:
        """Send x̄ and m if the round has aggregations, and ask for uploads if the next one has."""
        one = self.w.new_ones(len(cohort))
        rows: Rows = {}
        if m := self.aggregations(round):
            rows = {"mean": self.w.expand(len(cohort), -1), "aggregations": m * one}
        return {**rows, "wanted": one} if self.aggregations(round + 1) else rows

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Average the rows, if they were asked for."""
        if "model" in uploads:
            super().aggregate(round, cohort, uploads)
