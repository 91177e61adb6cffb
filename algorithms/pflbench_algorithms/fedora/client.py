"""FEDORA's client half: what it tells of its data, and whether it lets itself be pulled.

Wu, Bao, Ainsworth, He: Personalized Federated Learning with Parameter Propagation, KDD 2023.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from pflbench.method import Client, LocalData, Message, State
from pflbench_algorithms.fedora import Fedora


def subspace(x: Tensor, y: Tensor | None, classes: int, q: int) -> Tensor:
    """Return U [d + C, q]: an orthonormal basis of a client's dominant data directions.

    U holds the top q left singular vectors of Xᵀ, where X [n, d + C] stacks the flattened
    inputs with the one-hot labels (inputs alone, [d, q], without labels). With fewer than q
    samples the missing directions are zero: they are similar to nothing.
    """
    X = x.flatten(start_dim=1)
    if y is not None:
        X = torch.cat([X, F.one_hot(y, classes).to(X.dtype)], dim=1)
    _, _, Vt = torch.linalg.svd(X, full_matrices=False)
    U = Vt[:q].T
    return F.pad(U, (0, q - U.shape[1]))


class FedoraClient(Client[Fedora]):
    """Keeps its own model w; what it receives, r, only regularises it, and only if it helps."""

    personal_model: ClassVar[Literal["kept", "served"]] = "kept"
    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ("val",)

    def initial_state(self) -> State:
        """Every client starts from the shared initial model."""
        return {"w": self.task.initial}

    def enrol(self, data: LocalData) -> Message:
        """Upload the data's subspace: (d + C)·q numbers, no sample."""
        q = self.parameters.subspace_dim
        return {"subspace": subspace(data.train.x, data.train.y, self.task.classes, q)}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Choose λ: exp(Δ/2) if r does not do worse than w on validation data, else 0.

        Δ = loss(w) - loss(r), each the mean over the client's validation samples.
        """
        w, r = state["w"], received["model"]
        delta = self.task.loss(w, data.val) - self.task.loss(r, data.val)
        lam = torch.where(delta >= 0, torch.exp(delta / 2), 0.0)
        return {"w": w}, {"r": r, "lam": lam}

    def pull(self, context: State) -> tuple[Tensor, Tensor]:
        """After every step, w ← w - ηλ(w₀ - r), η the learning rate and w₀ the step's start."""
        return self.task.sgd.lr * context["lam"], context["r"]

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Keep w and upload it."""
        return {"w": carry["w"]}, {"model": carry["w"]}

    def personal(self, state: State, served: Message) -> Tensor:
        """Return w: what was received never replaces it."""
        return state["w"]
