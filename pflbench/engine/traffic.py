"""Bytes up and down, counted message by message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import pandas as pd
from torch import Tensor, nn

from pflbench.method import Message, Rows

Direction = Literal["down", "up"]
SET_UP = -1
"""The round number under which set-up messages are listed."""

FROZEN = "frozen"
"""The kind of the download that brings a client the parameters that no client trains."""

_COLUMNS = ("round", "direction", "kind", "messages", "bytes")


class Traffic:
    """Messages between clients and server, by round, direction and kind.

    Parameters
    ----------
    frozen
        Bytes of the network's parameters that no client trains: all clients share them.
    """

    def __init__(self, frozen: int = 0) -> None:
        self._frozen = frozen
        self._lines: list[tuple[int, str, str, int, int]] = []
        self._total = {"down": 0, "up": 0}

    def count_rows(self, round: int, direction: Direction, rows: Rows) -> int:
        """Count one message a row; return the bytes."""
        total = 0
        for kind, tensor in rows.items():
            size = tensor.numel() * tensor.element_size()
            self._add(round, direction, kind, len(tensor), size)
            total += size
        return total

    def count_messages(self, round: int, direction: Direction, messages: Sequence[Message]) -> int:
        """Count messages that differ in size; return the bytes."""
        sizes: dict[str, list[int]] = {}
        for message in messages:
            for kind, tensor in message.items():
                sizes.setdefault(kind, []).append(tensor.numel() * tensor.element_size())
        for kind, each in sizes.items():
            self._add(round, direction, kind, len(each), sum(each))
        return sum(map(sum, sizes.values()))

    def count_frozen(self, round: int, clients: int) -> int:
        """Count what clients that enrol download once, if anything; return the bytes."""
        if not self._frozen or not clients:
            return 0
        self._add(round, "down", FROZEN, clients, clients * self._frozen)
        return clients * self._frozen

    def kinds(self, direction: Direction) -> frozenset[str]:
        """Return the kinds of message that went in a direction so far."""
        return frozenset(line[2] for line in self._lines if line[1] == direction)

    def total(self, direction: Direction) -> int:
        """Return all bytes of a direction so far."""
        return self._total[direction]

    def table(self) -> pd.DataFrame:
        """Return round, direction, kind, messages, bytes; set-up is round -1."""
        return pd.DataFrame(self._lines, columns=list(_COLUMNS)).astype(
            {"round": "int64", "messages": "int64", "bytes": "int64"}
        )

    def restore(self, table: pd.DataFrame) -> None:
        """Load a table that `table` returned."""
        self._lines, self._total = [], {"down": 0, "up": 0}
        for line in table[list(_COLUMNS)].itertuples(index=False):
            self._add(*line)

    def _add(self, round: int, direction: str, kind: str, messages: int, size: int) -> None:
        self._lines.append((int(round), direction, kind, int(messages), int(size)))
        self._total[direction] += int(size)


def frozen_bytes(module: nn.Module) -> int:
    """Return the bytes of a network's parameters that no client trains."""
    return sum(p.nbytes for p in module.parameters() if not p.requires_grad)


def bytes_of(message: Mapping[str, Tensor]) -> int:
    """Return the bytes of one message."""
    return sum(t.numel() * t.element_size() for t in message.values())
