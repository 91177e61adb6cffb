"""MOON's client half (Li, He, Song 2021, section 3.3): min_w CE + μ l_con.

With z, z_glob and z_prev the features of a sample by w, by the received model, and by the model
that the client's last local training ended with,

    l_con = -log exp(cos(z, z_glob)/τ) / (exp(cos(z, z_glob)/τ) + exp(cos(z, z_prev)/τ)).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor
from torch.nn.functional import cosine_similarity, softplus

from pflbench.method import Client, LocalData, Message, Samples, State
from pflbench_algorithms.moon import Moon

OTHERS = "global", "previous"
"""The models in the context that features are compared with."""


class MoonClient(Client[Moon]):
    """Keeps the model that its last local training ended with."""

    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ()

    def initial_state(self) -> State:
        """Before its first round, a client's last model is the initial one."""
        return {"previous": self.task.initial}

    def join(self, state: State, received: Message) -> State:
        """Start as a new client with the received model as the last one: no contrast at first."""
        return {"previous": received["model"]}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Start from the received model, with it and the last one in mind."""
        w = received["model"]
        return {"w": w}, {"global": w, "previous": state["previous"]}

    def loss(self, w: Tensor, batch: Samples, context: State) -> Tensor:
        """Return the cross entropy and μ l_con, of one forward pass of w."""
        task, tau = self.task, self.parameters.temperature
        z = task.features(w, batch.x)
        to_global, to_previous = (self._cosines(z, context[m], batch.x) for m in OTHERS)
        contrast = to_previous - to_global
        l_con = (softplus(contrast / tau) * batch.mask).sum() / batch.mask.sum().clamp(min=1.0)
        return task.cross_entropy(task.classify(w, z), batch) + self.parameters.mu * l_con

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Keep and upload the model."""
        return {"previous": carry["w"]}, {"model": carry["w"]}

    def _cosines(self, z: Tensor, other: Tensor, x: Tensor) -> Tensor:
        """Return the cosines [n] of features and another model's, which is in evaluation mode."""
        theirs = self.task.features(other, x, training=False)
        return cosine_similarity(z.flatten(start_dim=1), theirs.flatten(start_dim=1))
