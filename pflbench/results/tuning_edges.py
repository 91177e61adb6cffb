"""Whether the best setting of a search is inside the tried values, or at their end.

A best value at the end of the tried values shows that the search stopped too early in this
direction, unless the declared range ends there, too. All of this follows from the trials, so it is
not stored in a study's file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pflbench.results.tunings import Dimension, Study
from pflbench.schema.parameters import Scalar


@dataclass(frozen=True)
class Edge:
    """A parameter whose best value is the smallest or the largest tried.

    Attributes
    ----------
    name, value
        The parameter and its best value.
    side
        Which end of the values tried it is.
    bound
        The end of the declared range on that side.
    at_bound
        Whether the value is that bound: no search can go further.
    """

    name: str
    value: float
    side: Literal["low", "high"]
    bound: float
    at_bound: bool

    def __str__(self) -> str:
        if self.at_bound:
            which = "upper" if self.side == "high" else "lower"
            return f"{self.name} = {self.value:g} (its declared {which} bound)"
        which = "largest" if self.side == "high" else "smallest"
        words = "up to" if self.side == "high" else "down to"
        return f"{self.name} = {self.value:g} (the {which} tried, declared {words} {self.bound:g})"


def edges(study: Study, trials: int | None = None) -> tuple[Edge, ...]:
    """Return the parameters whose best value is at the end of the tried values.

    A parameter with a single tried value was not searched, and has no end. Values of failed
    trials count as tried: no better value beyond them could be run.

    Parameters
    ----------
    study
        The search.
    trials
        Look at the first trials only, at most this many; None for all.
    """
    seen = study.finished[:trials]
    best = study.best_of(len(study.trials) if trials is None else trials)
    if best is None:
        return ()
    found = (
        _edge(
            dimension,
            as_number(best.parameters[dimension.name]),
            [as_number(trial.parameters[dimension.name]) for trial in seen],
        )
        for dimension in study.space
    )
    return tuple(edge for edge in found if edge is not None)


def open_edges(study: Study, trials: int | None = None) -> tuple[Edge, ...]:
    """Return the edges inside the declared range."""
    return tuple(edge for edge in edges(study, trials) if not edge.at_bound)


def _edge(dimension: Dimension, value: float, tried: list[float]) -> Edge | None:
    low, high = min(tried), max(tried)
    if low == high:
        return None
    if value == high:
        at_bound = value >= as_number(dimension.as_tried(dimension.high))
        return Edge(dimension.name, value, "high", dimension.high, at_bound)
    if value == low:
        at_bound = value <= as_number(dimension.as_tried(dimension.low))
        return Edge(dimension.name, value, "low", dimension.low, at_bound)
    return None


def as_number(value: Scalar) -> float:
    """Return a tuned parameter's value as a number."""
    assert isinstance(value, (int, float))  # only numbers are tuned
    return value
