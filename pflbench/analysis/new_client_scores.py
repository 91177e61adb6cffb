"""Accuracy of new clients under a method, after the last round: read from summaries of runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import stdev
from typing import Any

from pflbench.schema.new_clients import NOTHING


@dataclass(frozen=True)
class Onboarded:
    """Mean test accuracies in [0, 1] after the last round, over clients and then over seeds.

    Attributes
    ----------
    accuracy
        The new clients' accuracy, by shots ("0": zero-shot), most labels last; empty if no client
        was held out.
    participants
        The participants', after the same round.
    deviations
        Standard deviation over seeds of each of these, by shots, and of "participants" and "gap";
        empty with one seed.
    """

    accuracy: Mapping[str, float] = field(default_factory=dict)
    participants: float | None = None
    deviations: Mapping[str, float] = field(default_factory=dict)

    @property
    def gap(self) -> float | None:
        """The participants' accuracy minus that of new clients with the most labels."""
        if self.participants is None or not self.accuracy:
            return None
        return self.participants - list(self.accuracy.values())[-1]

    def record(self) -> dict[str, float | None]:
        """Return the usual shots as flat columns; None for missing ones."""
        values = {f"new_{name}": self.accuracy.get(text) for name, text in _COLUMNS.items()}
        return {**values, "new_gap": self.gap}

    def deviations_by_column(self) -> dict[str, float]:
        """Return the standard deviations over seeds of these columns, if known."""
        columns = {**_COLUMNS, "gap": "gap"}
        return {f"new_{n}": self.deviations[k] for n, k in columns.items() if k in self.deviations}


_COLUMNS = {"zero_shot": NOTHING, "1_shot": "1", "5_shot": "5", "all": "all"}
"""The usual shots, by the names of their columns."""


def onboarded(summaries: Sequence[Mapping[str, Any]]) -> Onboarded:
    """Return the mean over a row's runs; nothing if one of them onboarded no client."""
    parts = [summary.get("onboarding") for summary in summaries]
    told = [part for part in parts if part is not None]
    if not told or len(told) < len(parts):
        return Onboarded()
    by_seed = {
        shots: [float(part["accuracy"][shots]) for part in told]
        for shots in sorted(told[0]["accuracy"], key=_labels)
    }
    participants = [float(part["participants_accuracy"]) for part in told]
    last = next(reversed(by_seed.values()), [0.0] * len(told))
    varying = {
        **by_seed,
        "participants": participants,
        "gap": [old - new for old, new in zip(participants, last, strict=True)],
    }
    return Onboarded(
        accuracy={shots: sum(values) / len(values) for shots, values in by_seed.items()},
        participants=sum(participants) / len(participants),
        deviations={n: stdev(values) for n, values in varying.items()} if len(told) > 1 else {},
    )


def _labels(shots: str) -> float:
    return float(shots) if shots.isdecimal() else math.inf
