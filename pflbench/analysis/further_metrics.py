"""Metrics of plugins on boards: means over seeds, and what they mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pflbench.analysis.inference import t_interval
from pflbench.analysis.scores import Scores
from pflbench.schema.plugins import installed

if TYPE_CHECKING:
    from pflbench.analysis.board import Row


@dataclass(frozen=True)
class Further:
    """A metric of a row: mean over clients at the selected round, then over seeds.

    Attributes
    ----------
    mean
        In the unit of the metric.
    std
        Standard deviation of a seed's mean over seeds; None with one seed.
    low, high
        Ends of the 95 % t interval over seeds; None with one seed.
    """

    mean: float
    std: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, by_seed: Sequence[float]) -> Further:
        """Return the metric of a row, given each seed's mean over clients."""
        mean = float(np.mean(by_seed))
        if len(by_seed) < 2:
            return cls(mean, None, None, None)
        low, high = (float(end) for end in t_interval(by_seed))
        return cls(mean, float(np.std(by_seed, ddof=1)), low, high)


def further(runs: Sequence[Scores]) -> dict[str, Further]:
    """Return the metrics that all runs of a row, one a seed, have of all their clients.

    A mean over the clients that happen to have a number would not be that of another row.
    """
    names = [name for name in runs[0].metrics if all(name in run.metrics for run in runs)]
    by_seed = {name: [float(run.metrics[name].mean()) for run in runs] for name in names}
    return {name: Further.of(means) for name, means in by_seed.items() if np.isfinite(means).all()}


def names(rows: Iterable[Row]) -> list[str]:
    """Return the metrics that some row has, in alphabetical order."""
    return sorted({name for row in rows for name in row.metrics})


def meaning(name: str) -> str:
    """Say what a metric is, as far as an installed plugin knows."""
    record = next((spec for spec in installed().metrics.specs() if spec.name == name), None)
    if record is None:
        return "a metric of a plugin that is not installed here"
    summary = record.summary.rstrip(".")
    return f"{summary}; {'higher' if record.higher_is_better else 'lower'} is better"


def record(metrics: Mapping[str, Further]) -> dict[str, float | None]:
    """Return a row's metrics as columns of its record."""
    return {
        f"metric_{name}{part}": value
        for name, found in sorted(metrics.items())
        for part, value in (
            ("", found.mean),
            ("_std", found.std),
            ("_low", found.low),
            ("_high", found.high),
        )
    }
