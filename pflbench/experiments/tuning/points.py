"""The settings that a search lays down: the defaults, points spread evenly, steps outward."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.stats import qmc

from pflbench.results.tuning_edges import Edge, as_number, open_edges
from pflbench.results.tunings import Dimension, Study
from pflbench.schema.settings import RATE

SPREAD = 8
"""Trials after the first that are spread evenly, before the search learns from trials."""

STRIDE = 0.25
"""How far a step outward goes, as a share of the declared range, on its scale."""


def start(space: Sequence[Dimension]) -> dict[str, float]:
    """Return the setting to begin with."""
    return {d.name: drawn(d.start, d) for d in space}


def spread(space: Sequence[Dimension], number: int) -> dict[str, float]:
    """Return a point of the Halton sequence in the space, the learning rate first."""
    ordered = sorted(space, key=lambda d: d.name != RATE)  # the others keep their order
    if not ordered:
        return {}
    sequence = qmc.Halton(len(ordered), scramble=False)
    point = sequence.fast_forward(number).random(1)[0]
    return {d.name: _within(d, float(share)) for d, share in zip(ordered, point, strict=True)}


def outward(study: Study) -> dict[str, float] | None:
    """Return the best setting with one parameter moved beyond the values tried.

    The best value of the parameter is at the end of the tried values, the learning rate first. The
    others keep their best values, so that a better outcome comes from this parameter.

    Returns
    -------
    dict[str, float] | None
        None if the best setting is inside the tried values, or at the declared bounds.
    """
    best, found = study.best, open_edges(study)
    if best is None or not found:
        return None
    edge = min(found, key=lambda edge: edge.name != RATE)
    dimensions = {d.name: d for d in study.space}
    setting = {name: as_number(value) for name, value in best.parameters.items()}
    setting[edge.name] = _beyond(edge, dimensions[edge.name])
    return {name: drawn(value, dimensions[name]) for name, value in setting.items()}


def drawn(value: float, dimension: Dimension) -> float:
    """Return a value of the type that its distribution has."""
    return int(value) if dimension.whole else float(value)


def _beyond(edge: Edge, d: Dimension) -> float:
    """Return a value one stride further out, at most the bound, and never the same one again."""
    way = STRIDE if edge.side == "high" else -STRIDE
    further = edge.value * (d.high / d.low) ** way if d.log else edge.value + way * (d.high - d.low)
    if d.whole:
        least = edge.value + math.copysign(1, way)
        further = max(round(further), least) if way > 0 else min(round(further), least)
    further = min(max(further, d.low), d.high)
    return edge.bound if d.as_tried(further) == edge.value else further


def _within(dimension: Dimension, share: float) -> float:
    """Return the value at a share in [0, 1) of a dimension's range."""
    low, high = dimension.low, dimension.high
    if dimension.whole:
        high += 1  # each whole number has as much room
    value = low * (high / low) ** share if dimension.log else low + (high - low) * share
    return math.floor(value) if dimension.whole else value
