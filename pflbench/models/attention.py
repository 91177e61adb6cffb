"""A small encoder of the Transformer over tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pflbench.errors import InputError
from pflbench.models import Transformer
from pflbench.models.sample_shapes import check_sequence


class TransformerNetwork(nn.Module):
    """Embeddings of tokens and positions, encoder layers, the mean over tokens, classes."""

    def __init__(self, parameters: Transformer, vocabulary: int, length: int, classes: int) -> None:
        super().__init__()
        width = parameters.width
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(0.02 * torch.randn(length, 1, width))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, parameters.heads, 4 * width, parameters.dropout)
            for _ in range(parameters.layers)
        )
        self.output = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs [n, C] for tokens [n, T]."""
        # Tokens come first, as in the attention itself: dropout then draws for the same places
        # whether clients are mapped or not.
        z = self.embedding(x.t()) + self.positions
        for layer in self.layers:
            z = layer(z)
        out: Tensor = self.output(z.mean(0))
        return out


def build_transformer(
    parameters: Transformer, input_shape: tuple[int, ...], classes: int
) -> TransformerNetwork:
    """Return the encoder of Vaswani et al. with learned positions and a mean over all tokens.

    Raises
    ------
    InputError
        The samples are not tokens [length], or the heads do not divide the width.
    """
    vocabulary = check_sequence("transformer", input_shape, parameters.vocabulary)
    if parameters.width % parameters.heads:
        raise InputError(
            f"The model transformer has {parameters.heads} heads, which do not divide its width of "
            f"{parameters.width}: expected heads such as 1, 2 or 4."
        )
    return TransformerNetwork(parameters, vocabulary, input_shape[0], classes)
