"""The hypernetwork h: from a client's embedding to the parameters of any target network.

Shamsian et al. 2021, section 3.2 and appendix: an MLP on the embedding, and one linear head for
each parameter tensor of the target.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class _Head(torch.autograd.Function):
    """A linear layer whose weight's gradient uses the same memory in every round.

    The heads have a hundred times as many numbers as a row: fresh memory for their gradients
    would cost more time, in page faults, than the products that fill it.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, memory: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.memory = memory
        return torch.addmm(bias, x, weight.T)

    @staticmethod
    def backward(ctx: Any, *outputs: Any) -> tuple[Tensor, Tensor | None, Tensor, None]:
        (g,), (x, weight) = outputs, ctx.saved_tensors
        asked = ctx.needs_input_grad[1]  # new clients' embeddings are fitted under frozen heads
        by_weight = torch.mm(g.T, x, out=ctx.memory) if asked else None
        return g @ weight, by_weight, g.sum(dim=0), None


class Hypernetwork(nn.Module):
    """W = h(E): rows of parameters for clients.

    Parameters
    ----------
    clients
        Number of clients N.
    embedding_dim, hidden, n_hidden
        E's columns; the MLP's width; its hidden-to-hidden layers after the first.
    shapes
        The shapes of the target's parameter tensors, in the order of their columns.
    normalise
        Spectral norm on every linear layer.

    Attributes
    ----------
    embeddings
        [N, embedding_dim].
    mlp
        Linear layers with ReLU between.
    heads
        One linear layer for each target tensor.
    """

    def __init__(
        self,
        clients: int,
        embedding_dim: int,
        hidden: int,
        n_hidden: int,
        shapes: Sequence[tuple[int, ...]],
        normalise: bool,
    ) -> None:
        super().__init__()

        def linear(inputs: int, outputs: int) -> nn.Module:
            layer = nn.Linear(inputs, outputs)
            return spectral_norm(layer) if normalise else layer

        self.embeddings = nn.Embedding(clients, embedding_dim)
        layers = [linear(embedding_dim, hidden)]
        for _ in range(n_hidden):
            layers += [nn.ReLU(), linear(hidden, hidden)]
        self.mlp = nn.Sequential(*layers)
        self.heads = nn.ModuleList(linear(hidden, prod(shape)) for shape in shapes)
        self._memory: list[Tensor] = []

    def forward(self, clients: Tensor) -> Tensor:
        """Return the rows [K, P] of clients [K]; the gradients are valid until the next ones."""
        return self.rows(self.embeddings(clients))

    def rows(self, embeddings: Tensor) -> Tensor:
        """Return the rows [K, P] of embeddings [K, embedding_dim]."""
        features = self.mlp(embeddings)
        heads = [(cast("nn.Linear", head).weight, head.bias) for head in self.heads]
        if not self._memory:
            self._memory = [torch.empty_like(weight) for weight, _ in heads]
        rows = [
            _Head.apply(features, weight, bias, memory)
            for (weight, bias), memory in zip(heads, self._memory, strict=True)
        ]
        return torch.cat(rows, dim=1)
