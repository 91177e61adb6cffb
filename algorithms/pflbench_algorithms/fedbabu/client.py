"""FedBABU's client half: (θ_ext, θ_cls), of which θ_ext alone is trained (Oh et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pflbench.method import Adaptation, Client, Columns, LocalBudget, Message, Phase, Sgd, State
from pflbench_algorithms.fedbabu import FedBABU


class FedBABUClient(Client[FedBABU]):
    """Trains and shares the body θ_ext; the head θ_cls keeps its initial value."""

    def private(self) -> Columns:
        """Return the columns of the head: it is not sent, as it never changes."""
        return self.task.layout.block("head")

    def phases(self) -> Sequence[Phase]:
        """Return the only phase: the head is frozen."""
        return (Phase(columns=self.task.layout.block("body")),)

    def adaptation(self) -> Adaptation:
        """Fine-tune body and head together for τ_f epochs."""
        chosen = self.parameters
        budget = LocalBudget(self.task.budget.batch_size, epochs=chosen.finetune_epochs)
        if chosen.finetune_lr is None:
            return Adaptation(budget)
        own = Sgd(chosen.finetune_lr, chosen.finetune_momentum, chosen.finetune_weight_decay)
        return Adaptation(budget, own)

    def generic(self, state: State, served: Message) -> Tensor:
        """Return the global model."""
        return self.whole(served["model"], state)
