"""The hypernetwork h: from a client's embedding to the parameters of any target network.

Shamsian et al. 2021, section 3.2 and appendix: an MLP on the embedding, and one linear head for
each parameter tensor of the target.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


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

    def forward(self, clients: Tensor) -> Tensor:
        """Return the rows [K, P] of clients [K]."""
        features = self.mlp(self.embeddings(clients))
        return torch.cat([head(features) for head in self.heads], dim=1)
