"""IFCA's client half: ĵ = argmin_j F_i(θ_j), then local steps from θ_ĵ (Ghosh et al. 2020)."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal

from torch import Tensor
from torch.func import vmap

from pflbench.method import Client, LocalData, Message, Samples, State
from pflbench_algorithms.ifca import IFCA


class IFCAClient(Client[IFCA]):
    """Trains the one of k received models that has the smallest loss on its training samples."""

    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ("train",)

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Estimate the cluster ĵ, and begin at θ_ĵ."""
        losses = self.losses(received["models"], data)
        choice = losses.argmin()
        context = {"cluster": choice, "losses": losses}
        return {"w": _chosen(received["models"], choice)}, context

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Upload the trained model, and which one it began as."""
        return state, {"model": carry["w"], "cluster": context["cluster"]}

    def prepare(self, state: State, served: Message, data: LocalData) -> State:
        """Choose among the served models, by training samples as in a round."""
        return {"cluster": self.losses(served["models"], data).argmin()}

    def personal(self, state: State, served: Message) -> Tensor:
        """Return the chosen model."""
        return _chosen(served["models"], state["cluster"])

    def losses(self, models: Tensor, data: LocalData) -> Tensor:
        """Return F_i(θ_j) [k] of models [k, P]: mean losses over the training samples."""
        x, y, mask = data.train
        known = Samples(x, y.clamp(min=0), mask * (y >= 0))  # a new client may have no labels
        return vmap(partial(self.task.loss, samples=known))(models)


def _chosen(models: Tensor, choice: Tensor) -> Tensor:
    return models.index_select(0, choice.reshape(1)).squeeze(0)
