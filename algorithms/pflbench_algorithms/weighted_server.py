"""A server that weighs clients as the parameter `weighting` says."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from pflbench.method import AveragingServer
from pflbench_algorithms.weighting import Weighted

P = TypeVar("P", bound=Weighted)


class WeightedServer(AveragingServer[P]):
    """The average of the uploads, weighted by training samples or uniform."""

    def weights(self, cohort: Tensor) -> Tensor:
        """Return the samples of a cohort's clients, or ones."""
        samples = super().weights(cohort)
        return samples if self.parameters.weighting == "samples" else torch.ones_like(samples)
