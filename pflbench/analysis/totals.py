"""Sums of a run's costs: by kind of message, and by round."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from pflbench.analysis.run_costs import SET_UP, Record


@dataclass(frozen=True)
class Kind:
    """Messages of one kind that crossed in one direction, at set-up or in the rounds."""

    set_up: bool
    direction: str
    kind: str
    messages: int
    bytes: int


@dataclass(frozen=True)
class Totals:
    """A whole run, all clients together.

    Attributes
    ----------
    bytes_up, bytes_down
        Set-up included.
    local_steps, adapt_steps
        Gradient steps of training; of adaptation before evaluations.
    client_seconds, server_seconds
        Wall time, on the machine of the run, of local training; of sending and aggregating.
    peak_memory_bytes
        Most memory used.
    kinds
        The bytes by kind, set-up first, then the largest first.
    """

    bytes_up: int
    bytes_down: int
    local_steps: int
    adapt_steps: int
    client_seconds: float
    server_seconds: float
    peak_memory_bytes: int
    kinds: tuple[Kind, ...]


def totals(record: Record) -> Totals:
    """Sum up a run."""
    rounds, messages = record.rounds, record.messages
    by_direction = messages.groupby("direction")["bytes"].sum()
    parts = messages.assign(set_up=messages["round"] == SET_UP)
    sums = parts.groupby(["set_up", "direction", "kind"])[["messages", "bytes"]].sum()
    kinds = [
        Kind(bool(set_up), str(direction), str(kind), int(count), int(size))
        for (set_up, direction, kind), count, size in zip(
            sums.index.tolist(), sums["messages"], sums["bytes"], strict=True
        )
    ]
    return Totals(
        bytes_up=int(by_direction.get("up", 0)),
        bytes_down=int(by_direction.get("down", 0)),
        local_steps=int(rounds["steps"].sum()),
        adapt_steps=int(rounds["adapt_steps"].sum()),
        client_seconds=float(rounds["client_seconds"].sum()),
        server_seconds=float(rounds["server_seconds"].sum()),
        peak_memory_bytes=int(rounds["peak_memory_bytes"].max()),
        kinds=tuple(sorted(kinds, key=lambda k: (not k.set_up, -k.bytes, k.direction, k.kind))),
    )


def running(record: Record) -> pd.DataFrame:
    """Return the costs until each round, set-up included; round 0 is set-up alone.

    Returns
    -------
    Columns bytes_up, bytes_down, local_steps, client_seconds, server_seconds; indexed by round.
    """
    every = pd.RangeIndex(len(record.rounds) + 1, name="round")
    messages = record.messages.assign(round=record.messages["round"].clip(lower=0))
    crossed = messages.pivot_table(
        index="round", columns="direction", values="bytes", aggfunc="sum", fill_value=0
    ).reindex(index=every, columns=["up", "down"], fill_value=0)
    rounds = record.rounds.set_index("round").reindex(every, fill_value=0)
    spent = pd.DataFrame(
        {
            "bytes_up": crossed["up"],
            "bytes_down": crossed["down"],
            "local_steps": rounds["steps"],
            "client_seconds": rounds["client_seconds"],
            "server_seconds": rounds["server_seconds"],
        }
    )
    return spent.cumsum()
