"""FEDORA's server half: parameters propagate over the graph of similar clients.

Wu, Bao, Ainsworth, He: Personalized Federated Learning with Parameter Propagation, KDD 2023.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from pflbench.method import Rows, Server, Setup
from pflbench_algorithms.fedora import Fedora

DENSE_UP_TO = 512
"""Clients up to which Π is formed; beyond, only what is not zero of the rows that are wanted."""

TOLERANCE = 1e-9
"""Of their iteration: terms that sum to so much of a row of Π, whose entries sum to 1, are left."""


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
        own = torch.arange(len(block), device=U.device)
        cosines[own, begin + own] = 0.0  # nobody is its own neighbour
        total = _nuclear(cosines, k)
        total[own, begin + own] = -torch.inf
        values, indices = torch.topk(total, k, dim=1)
        closeness.append(values)
        nearest.append(indices)
    # A softmax of τ Σ σ over the kept neighbours is their similarity divided by its sum.
    weights = torch.softmax(temperature * torch.cat(closeness), dim=1)
    return torch.cat(nearest), weights


def _nuclear(matrices: Tensor, k: int) -> Tensor:
    """Return the sums of singular values [B, N] of matrices [B, N, q, q].

    From q = 3 on, only those are computed that can be among a row's k largest; the others are -inf.
    """
    q = matrices.shape[-1]
    if q == 1:
        return matrices[..., 0, 0].abs()
    squares = matrices.square().sum(dim=(-2, -1))
    if q == 2:  # (σ₁ + σ₂)² = σ₁² + σ₂² + 2 σ₁σ₂
        a, b, c, d = matrices.flatten(start_dim=2).unbind(dim=2)
        return (squares + 2 * (a * d - b * c).abs()).sqrt()
    # Σσ ≤ √(q Σσ²), which costs little; the k largest of it tell what the k-th neighbour has at
    # least.
    bound = (q * squares).sqrt() * (1 + 1e-5)
    promising = bound.topk(k, dim=1).indices.unsqueeze(-1).unsqueeze(-1).expand(-1, -1, q, q)
    found = torch.linalg.svdvals(matrices.gather(1, promising)).sum(dim=-1)
    possible = bound >= found.amin(dim=1, keepdim=True)
    total = torch.full_like(bound, -torch.inf)
    total[possible] = torch.linalg.svdvals(matrices[possible]).sum(dim=-1)
    return total


class FedoraServer(Server[Fedora]):
    """Sends client i the row i of ΠW, Π = (1 - α)(I - αS)⁻¹, W everyone's latest upload.

    Attributes
    ----------
    nearest, weights
        [N, k]: S, row by row.
    uploads
        [N, P] W's rows; the initial model before a client's first upload.
    """

    def __init__(self, parameters: Fedora, setup: Setup) -> None:
        super().__init__(parameters, setup)
        N = setup.clients
        self.uploads = setup.storage.rows(N, setup.initial)
        self.nearest = torch.zeros(N, 0, dtype=torch.int64, device=setup.initial.device)
        self.weights = setup.initial.new_zeros(N, 0)
        self._Pi: Tensor | None = None

    def enrol(self, clients: Tensor, messages: list[dict[str, Tensor]]) -> None:
        """Build S from the clients' subspaces."""
        U = torch.stack([m["subspace"] for m in messages])[clients.argsort()]
        self._know(*neighbours(U, self.parameters.top_k, self.parameters.temperature))

    def _know(self, nearest: Tensor, weights: Tensor) -> None:
        self.nearest, self.weights = nearest, weights
        self._Pi = None

    @property
    def W(self) -> Tensor:  # noqa: N802 - the paper's name
        """[N, P] everyone's latest upload, all at once."""
        return self.uploads.whole()

    def S(self) -> Tensor:  # noqa: N802 - the paper's name
        """Return S [N, N], sparse."""
        N, k = self.nearest.shape
        rows = torch.arange(N, device=self.nearest.device).repeat_interleave(k)
        return _sparse(rows, self.nearest.flatten(), self.weights.flatten(), N)

    def propagation(self) -> Tensor:
        """Return Π [N, N], dense; in double precision while it is inverted, on the CPU."""
        alpha, N = self.parameters.alpha, self.setup.clients
        S = self.S().cpu().to_dense().to(torch.float64)
        inverse: Tensor = torch.linalg.inv(torch.eye(N, dtype=torch.float64) - alpha * S)
        return ((1 - alpha) * inverse).to(self.weights)

    def send(self, round: int, cohort: Tensor) -> Rows:
        """Send rows of ΠW; before anything was uploaded, the initial model."""
        return self.serve(cohort)

    def serve(self, clients: Tensor) -> Rows:
        """Return the clients' rows of ΠW."""
        if not self.uploads.written.any():
            return {"model": self.uploads.take(clients)}
        if self.setup.clients <= DENSE_UP_TO:
            if self._Pi is None:
                self._Pi = self.propagation()
            return {"model": self._Pi[clients] @ self.W}
        return {"model": self.uploads.mix(*self._some_propagation(clients))}

    def _some_propagation(self, clients: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is not zero of rows of Π: [K, M] entries, and the clients [M] they weigh.

        Row i of Π weighs the clients that can be reached from i over the graph, and with few
        neighbours these are few of many. The rows Z solve Z = αZS + (1 - α)E, E the clients'
        unit rows: the iteration contracts by α, and touches k neighbours of a reached client.
        It is done in double precision on the CPU, whatever W is.
        """
        alpha = self.parameters.alpha
        asked = clients.cpu()
        nearest, weights = self.nearest.cpu(), self.weights.to("cpu", torch.float64)
        reached = _reached(nearest, asked)
        place = torch.full((len(nearest),), -1)
        place[reached] = torch.arange(len(reached))
        k, M = nearest.shape[1], len(reached)
        columns = torch.arange(M).repeat_interleave(k)
        step = alpha * _sparse(
            place[nearest[reached]].flatten(), columns, weights[reached].flatten(), M
        )
        term = weights.new_zeros(M, len(asked))
        term[place[asked], torch.arange(len(asked))] = 1 - alpha
        Z = term.clone()
        left = alpha  # the terms to come sum to it exactly: the rows of S sum to 1
        while left > TOLERANCE:
            term = torch.sparse.mm(step, term)
            Z += term
            left *= alpha
        Z /= 1 - left
        return Z.T.to(self.weights), reached.to(clients.device)

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Remember the cohort's latest models."""
        self.uploads.put(cohort, uploads["model"])

    def state(self) -> dict[str, Tensor]:
        """Return the uploads and the graph."""
        uploaded = torch.from_numpy(self.uploads.written.copy())
        return {**self._graph(), "uploaded": uploaded, "W": self.W}

    def parts(self) -> Iterator[dict[str, Tensor]]:
        """Yield the graph, and then the uploads in blocks."""
        yield self._graph()
        yield from self.uploads.parts("W")

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up a state or a part of one; Π follows from the graph."""
        if "nearest" in state:
            self._know(state["nearest"], state["weights"])
        if "uploaded" in state:
            there = state["uploaded"].nonzero().flatten()
            self.uploads.clear()
            self.uploads.put(there, state["W"][there])
        elif "W" in state:
            self.uploads.restore(state, "W")

    def _graph(self) -> dict[str, Tensor]:
        return {"nearest": self.nearest, "weights": self.weights}


def _sparse(rows: Tensor, columns: Tensor, values: Tensor, size: int) -> Tensor:
    matrix = torch.sparse_coo_tensor(
        torch.stack([rows, columns]), values, (size, size), check_invariants=False
    )
    return matrix.coalesce()


def _reached(nearest: Tensor, start: Tensor) -> Tensor:
    """Return the clients, ascending, that are in `start` or can be reached over the graph."""
    seen = torch.zeros(len(nearest), dtype=torch.bool)
    front = start
    while len(front):
        seen[front] = True
        near = torch.zeros_like(seen)
        near[nearest[front]] = True
        front = (near & ~seen).nonzero().flatten()
    return seen.nonzero().flatten()
