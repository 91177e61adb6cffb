"""FedRep's client half: own head h_k on a shared φ (Collins et al. 2021, Algorithm 1)."""

from __future__ import annotations

from collections.abc import Sequence

from pflbench.method import Client, Columns, LocalBudget, Phase
from pflbench_algorithms.fedrep import FedRep


class FedRepClient(Client[FedRep]):
    """h_k ← τ_h epochs on f_k(h, φ), then φ_k ← the local budget on f_k(h_k, φ)."""

    def private(self) -> Columns:
        """Return the columns of the head."""
        return self.task.layout.block("head")

    def phases(self) -> Sequence[Phase]:
        """Return the head's phase, then the body's; the other part is frozen."""
        h, φ = self.task.layout.block("head"), self.task.layout.block("body")
        τ_h = LocalBudget(self.task.budget.batch_size, epochs=self.parameters.head_epochs)
        return (
            Phase("head", columns=h, budget=τ_h, batches="head"),
            Phase("body", columns=φ, batches="body"),
        )
