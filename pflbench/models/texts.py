"""Convolutions over the words of a text."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pflbench.models import TextCnn
from pflbench.models.sample_shapes import check_sequence

WINDOWS = (3, 4, 5)
"""Words that a convolution sees."""


class TextCnnNetwork(nn.Module):
    """Embedding, convolutions of several windows, the largest over time, dropout, classes."""

    def __init__(self, parameters: TextCnn, vocabulary: int, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, parameters.embedding)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(parameters.embedding, parameters.maps, window) for window in WINDOWS
        )
        self.dropout = nn.Dropout(parameters.dropout)
        self.output = nn.Linear(len(WINDOWS) * parameters.maps, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs [n, C] for tokens [n, T]."""
        words = self.embedding(x).transpose(1, 2)
        largest = [torch.relu(one(words)).amax(2) for one in self.convolutions]
        out: Tensor = self.output(self.dropout(torch.cat(largest, 1)))
        return out


def build_text_cnn(
    parameters: TextCnn, input_shape: tuple[int, ...], classes: int
) -> TextCnnNetwork:
    """Return the network of Kim's paper, with word vectors that begin at random (CNN-rand).

    Raises
    ------
    InputError
        The samples are not tokens [length], or too few of them.
    """
    vocabulary = check_sequence("text-cnn", input_shape, parameters.vocabulary, max(WINDOWS))
    return TextCnnNetwork(parameters, vocabulary, classes)
