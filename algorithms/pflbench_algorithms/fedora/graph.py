"""FEDORA's graph of clients: each client's neighbours, and the clients reached over it.

Wu, Bao, Ainsworth, He: Personalized Federated Learning with Parameter Propagation, KDD 2023.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from pflbench.method import Rows, Similarity

_TOGETHER = 2**22
"""Largest count of numbers in a block of pairs that is compared together."""


def in_blocks(measure: Similarity, known: Rows, best: int | None = None) -> Iterator[Tensor]:
    """Yield the similarities of all clients to all, a block of rows [B, N] at a time."""
    clients = len(next(iter(known.values())))
    rows = max(1, _TOGETHER // (clients * measure.numbers_per_pair))
    for begin in range(0, clients, rows):
        block = {name: tensor[begin : begin + rows] for name, tensor in known.items()}
        yield measure.compare(block, known, best)


def neighbours(
    measure: Similarity, known: Rows, clients: int, top_k: int, temperature: float
) -> tuple[Tensor, Tensor]:
    """Return each client's most similar clients [N, k] and their weights [N, k], rows summing to 1.

    The weight of j for i is exp(τ s_ij), s the measure, over the sum for all neighbours of i.
    Computed a block of rows at a time, so that no [N, N] matrix is ever held.

    Parameters
    ----------
    measure, known
        The measure, and the clients' descriptions as `Similarity.prepare` returned them.
    clients
        Number of clients N.
    """
    k = min(top_k, clients - 1)
    device = next((rows.device for rows in known.values()), torch.device("cpu"))
    if k < 1:  # a client alone is its own neighbour: ΠW is its own model, not a share of it
        return torch.zeros(1, 1, dtype=torch.int64, device=device), torch.ones(1, 1, device=device)
    nearest, closeness, begin = [], [], 0
    for similarity in in_blocks(measure, known, k + 1):  # a client itself may be among them
        own = torch.arange(len(similarity), device=device)
        similarity[own, begin + own] = -torch.inf  # no client is its own neighbour
        values, indices = torch.topk(similarity, k, dim=1)
        closeness.append(values)
        nearest.append(indices)
        begin += len(similarity)
    # A softmax of τs over the kept neighbours is their exp(τs) divided by its sum.
    weights = torch.softmax(temperature * torch.cat(closeness), dim=1)
    return torch.cat(nearest), weights


def listening(
    measure: Similarity, new: Rows, known: Rows, top_k: int, temperature: float
) -> tuple[Tensor, Tensor]:
    """Return each new client's most similar clients of N [K, k], and their weights [K, k].

    Parameters
    ----------
    measure, new, known
        The measure, and the descriptions of new and known clients, from `Similarity.prepare`.
    """
    new_clients, clients = (len(next(iter(rows.values()))) for rows in (new, known))
    k, nearest, closeness = min(top_k, clients), [], []
    rows = max(1, _TOGETHER // (clients * measure.numbers_per_pair))
    for begin in range(0, new_clients, rows):
        block = {name: tensor[begin : begin + rows] for name, tensor in new.items()}
        values, indices = torch.topk(measure.compare(block, known, k), k, dim=1)
        closeness.append(values)
        nearest.append(indices)
    return torch.cat(nearest), torch.softmax(temperature * torch.cat(closeness), dim=1)


def sparse(rows: Tensor, columns: Tensor, values: Tensor, size: int) -> Tensor:
    """Return a sparse matrix [size, size] of the values at those places."""
    matrix = torch.sparse_coo_tensor(
        torch.stack([rows, columns]), values, (size, size), check_invariants=False
    )
    return matrix.coalesce()


def reached(nearest: Tensor, start: Tensor) -> Tensor:
    """Return the clients, ascending, that are in `start` or can be reached over the graph."""
    seen = torch.zeros(len(nearest), dtype=torch.bool)
    front = start
    while len(front):
        seen[front] = True
        near = torch.zeros_like(seen)
        near[nearest[front]] = True
        front = (near & ~seen).nonzero().flatten()
    return seen.nonzero().flatten()
