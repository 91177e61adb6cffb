"""A global model whose clients learn how large they are among the others."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from pflbench.method import AveragingServer, Rows
from pflbench_algorithms.weighting import Weighted

P = TypeVar("P", bound=Weighted)


class RelativeSizes(AveragingServer[P]):
    """Averages uniformly, and sends a client its relative size g_k.

    g_k is 1 if the parameter `weighting` is "uniform", and n_k / mean n if it is "samples": how
    such a client's loss counts is then the client half's affair.
    """

    def weights(self, cohort: Tensor) -> Tensor:
        """Return ones."""
        return torch.ones_like(self.samples[cohort])

    def serve(self, clients: Tensor) -> Rows:
        """Return the global model and g_k."""
        return {**super().serve(clients), "size": self.relative_sizes(clients)}

    def relative_sizes(self, clients: Tensor) -> Tensor:
        """Return g [K] of clients, from what has enrolled."""
        if self.parameters.weighting == "uniform":
            return self.w.new_ones(len(clients))
        n = self.samples.to(self.w.dtype)
        return n[clients] / n[n > 0].mean()
