"""Fine-tuning at evaluation, for any client half whose personal model is a global one."""

from __future__ import annotations

from torch import Tensor

from pflbench.method import Client, LocalBudget, Message, State
from pflbench_algorithms.fedavg_ft import FineTuned


class FineTuning(Client[FineTuned]):
    """Mixed in before a client half: its personal model gets `epochs` of plain local SGD."""

    def adaptation(self) -> LocalBudget:
        """Fine-tune with the scenario's optimiser and batch size."""
        return LocalBudget(self.task.budget.batch_size, epochs=self.parameters.epochs)


class FedAvgFT(FineTuning):
    """FedAvg's client half (the base class's), fine-tuned."""

    def generic(self, state: State, served: Message) -> Tensor:
        """Return the global model."""
        return served["model"]
