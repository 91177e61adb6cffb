"""FEDORA's server half: parameters propagate over the graph of similar clients.

Wu, Bao, Ainsworth, He: Personalized Federated Learning with Parameter Propagation, KDD 2023.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pflbench.method import Rows, Server, Setup
from pflbench_algorithms.fedora import Fedora

DENSE_UP_TO = 512
"""Clients up to which Π is formed; beyond, ΠW is iterated with the sparse S."""

TOLERANCE = 1e-6
"""Of the iteration: what is left out weighs so much of a row of Π, whose entries sum to 1."""


def neighbours(U: Tensor, top_k: int, temperature: float) -> tuple[Tensor, Tensor]:
    """Return each client's most similar clients [N, k] and their weights [N, k], rows summing to 1.

    s_ij = exp(τ Σ σ(U_iᵀU_j)), σ the singular values: the cosines of the principal angles.
    Computed a block of rows at a time, so that no [N, N] matrix is ever held.

    Parameters
    ----------
    U
        [N, d, q] the clients' subspaces.
    """
    N, d, q = U.shape
    k = min(top_k, N - 1)
    if k < 1:  # a client alone is its own neighbour: ΠW is its own model, not a share of it
        return torch.zeros(N, 1, dtype=torch.int64, device=U.device), U.new_ones(N, 1)
    columns = U.permute(1, 0, 2).reshape(d, N * q)
    nearest, closeness = [], []
    rows = max(1, 2**22 // (N * q * q))
    for begin in range(0, N, rows):
        block = U[begin : begin + rows]
        products = torch.einsum("idq,dm->iqm", block, columns)
        cosines = products.reshape(len(block), q, N, q).transpose(1, 2)
        total = cosines.squeeze(-1).squeeze(-1).abs() if q == 1 else _nuclear(cosines)
        own = torch.arange(len(block), device=U.device)
        total[own, begin + own] = -torch.inf  # nobody is its own neighbour
        values, indices = torch.topk(total, k, dim=1)
        closeness.append(values)
        nearest.append(indices)
    # A softmax of τ Σ σ over the kept neighbours is their similarity divided by its sum.
    weights = torch.softmax(temperature * torch.cat(closeness), dim=1)
    return torch.cat(nearest), weights


def _nuclear(matrices: Tensor) -> Tensor:
    values: Tensor = torch.linalg.svdvals(matrices)
    return values.sum(dim=-1)


class FedoraServer(Server[Fedora]):
    """Sends client i the row i of ΠW, Π = (1 - α)(I - αS)⁻¹, W everyone's latest upload.

    Attributes
    ----------
    nearest, weights
        [N, k]: S, row by row.
    W
        [N, P] each client's latest upload; the initial model before its first.
    """

    def __init__(self, parameters: Fedora, setup: Setup) -> None:
        super().__init__(parameters, setup)
        N = setup.clients
        self.W = setup.initial.expand(N, -1).clone()
        self.nearest = torch.zeros(N, 0, dtype=torch.int64, device=self.W.device)
        self.weights = self.W.new_zeros(N, 0)
        self._Pi: Tensor | None = None
        self._started = torch.zeros((), dtype=torch.bool, device=self.W.device)

    def enrol(self, clients: Tensor, messages: list[dict[str, Tensor]]) -> None:
        """Build S from the clients' subspaces."""
        U = torch.stack([m["subspace"] for m in messages])[clients.argsort()]
        self.nearest, self.weights = neighbours(
            U, self.parameters.top_k, self.parameters.temperature
        )

    def S(self) -> Tensor:  # noqa: N802 - the paper's name
        """Return S [N, N], sparse."""
        N, k = self.nearest.shape
        rows = torch.arange(N, device=self.W.device).repeat_interleave(k)
        index = torch.stack([rows, self.nearest.flatten()])
        return torch.sparse_coo_tensor(
            index, self.weights.flatten(), (N, N), check_invariants=False
        ).coalesce()

    def propagation(self) -> Tensor:
        """Return Π [N, N], dense."""
        alpha, N = self.parameters.alpha, self.setup.clients
        identity = torch.eye(N, dtype=self.W.dtype, device=self.W.device)
        inverse: Tensor = torch.linalg.inv(identity - alpha * self.S().to_dense())
        return (1 - alpha) * inverse

    def send(self, round: int, cohort: Tensor) -> Rows:
        """Send rows of ΠW; before anything was uploaded, the initial model."""
        return self.serve(cohort)

    def serve(self, clients: Tensor) -> Rows:
        """Return the clients' rows of ΠW."""
        if not bool(self._started):
            return {"model": self.W[clients]}
        if self.setup.clients <= DENSE_UP_TO:
            if self._Pi is None:
                self._Pi = self.propagation()
            return {"model": self._Pi[clients] @ self.W}
        return {"model": self._iterate(clients)}

    def _iterate(self, clients: Tensor) -> Tensor:
        """Return rows of ΠW without Π: Z ← αSZ + (1 - α)I[clients], in the transpose.

        The rows of Π that are asked for solve Z = αZS + (1 - α)E, E the clients' unit rows; the
        iteration contracts by α, and touches k neighbours a client.
        """
        alpha, N = self.parameters.alpha, self.setup.clients
        S_T = self.S().t().coalesce()
        E = self.W.new_zeros(N, len(clients))
        E[clients, torch.arange(len(clients), device=E.device)] = 1 - alpha
        Z, term = E.clone(), E
        left = alpha  # the terms to come sum to it exactly: the rows of S sum to 1
        while left > TOLERANCE:
            term = alpha * torch.sparse.mm(S_T, term)
            Z += term
            left *= alpha
        return Z.T @ self.W

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Remember the cohort's latest models."""
        self.W[cohort] = uploads["model"]
        self._started.fill_(True)

    def state(self) -> dict[str, Tensor]:
        """Return the uploads and the graph."""
        return {
            "W": self.W,
            "nearest": self.nearest,
            "weights": self.weights,
            "started": self._started,
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up a state; Π follows from the graph."""
        self.W, self.nearest = state["W"], state["nearest"]
        self.weights, self._started = state["weights"], state["started"]
        self._Pi = None
