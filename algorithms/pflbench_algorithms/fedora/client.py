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

_NO_RANK = 1e-12
"""Squares of singular values below this share of the largest one's are rounding error."""


def subspace(x: Tensor, y: Tensor | None, classes: int, q: int) -> Tensor:
    """Return U [d + C, q]: an orthonormal basis of a client's dominant data directions.

    U holds the top q left singular vectors of Xᵀ, where X [n, d + C] stacks the flattened
    inputs with the one-hot labels (inputs alone, [d, q], without labels). Where X has no rank q
    (with fewer than q samples, for one) the missing directions are zero: they are similar to
    nothing.

    They come from the eigenvectors of XXᵀ or XᵀX, whichever is smaller, which is some times
    faster than a singular value decomposition of X, and in double precision not less exact.
    """
    X = x.flatten(start_dim=1)
    if y is not None:
        onehot = y.unsqueeze(1) == torch.arange(classes, device=y.device)
        X = torch.cat([X, onehot.to(X.dtype)], dim=1)
    exact = (X.cpu() if X.device.type == "mps" else X).to(torch.float64)  # it has no doubles
    n, d = X.shape
    gram = exact @ exact.T if n <= d else exact.T @ exact
    squares, vectors = torch.linalg.eigh(gram)  # ascending
    k = min(q, n, d)
    squares, vectors = squares[-k:].flip(0), vectors[:, -k:].flip(1)
    there = squares > _NO_RANK * squares[:1]
    if n <= d:
        vectors = exact.T @ vectors / torch.where(there, squares, 1.0).sqrt()
    return F.pad(torch.where(there, vectors, 0.0).to(X), (0, q - k))


class FedoraClient(Client[Fedora]):
    """Keeps its own model w; what it receives, r, only regularises it, and only if it helps."""

    personal_model: ClassVar[Literal["kept", "served"]] = "kept"
    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ("val",)
    enrol_is_mapped: ClassVar[bool] = True

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
