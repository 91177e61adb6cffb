"""pFedMe's server half (Dinh, Tran, Nguyen 2020, Algorithm 1, last line)."""

from __future__ import annotations

from torch import Tensor

from pflbench.method import Rows
from pflbench_algorithms.pfedme import PFedMe
from pflbench_algorithms.weighted_server import WeightedServer


class PFedMeServer(WeightedServer[PFedMe]):
    """w ← (1 - β) w + β mean(w_k) over the cohort."""

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Go β of the way to the cohort's mean."""
        w = self.w
        super().aggregate(round, cohort, uploads)
        self.w = w + self.parameters.beta * (self.w - w)
