"""Recurrent networks over tokens."""

from __future__ import annotations

from torch import Tensor, nn

from pflbench.models import CharLstm
from pflbench.models.sample_shapes import check_sequence


class CharLstmNetwork(nn.Module):
    """Embedding, LSTM layers, and the classes from the last token's state."""

    def __init__(self, parameters: CharLstm, vocabulary: int, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, parameters.embedding)
        self.lstm = nn.LSTM(
            parameters.embedding, parameters.hidden, parameters.layers, batch_first=True
        )
        self.output = nn.Linear(parameters.hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs [n, C] for tokens [n, T]."""
        states, _ = self.lstm(self.embedding(x))
        out: Tensor = self.output(states[:, -1])
        return out


def build_char_lstm(
    parameters: CharLstm, input_shape: tuple[int, ...], classes: int
) -> CharLstmNetwork:
    """Return LEAF's network for the next character of Shakespeare's plays.

    With 80 characters, 80 classes and PyTorch's two biases of a gate it has 819,920 parameters.

    Raises
    ------
    InputError
        The samples are not tokens [length].
    """
    vocabulary = check_sequence("char-lstm", input_shape, parameters.vocabulary)
    return CharLstmNetwork(parameters, vocabulary, classes)
