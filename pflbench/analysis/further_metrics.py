"""Metrics of plugins on boards: means over seeds, and their descriptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pflbench.analysis.inference import t_interval
from pflbench.analysis.scores import Scores, metrics_of_plugins
from pflbench.errors import UnknownNameError
from pflbench.results import StoredRun
from pflbench.results.measures import Floats
from pflbench.schema.plugins import installed
from pflbench.schema.specs import MetricSpec

if TYPE_CHECKING:
    from pflbench.analysis.board import Row


@dataclass(frozen=True)
class Score:
    """The metric that a board's rows are ordered and ranked by, in place of accuracy."""

    name: str
    higher_is_better: bool = True

    @property
    def words(self) -> str:
        """Its text in a headline."""
        better = "higher" if self.higher_is_better else "lower"
        return (
            f"Rows are in the order of {self.name} ({better} is better), and ranks are by its "
            "verdicts."
        )

    def of(self, runs: Sequence[Scores]) -> Floats | None:
        """Return the compared numbers [S, N] of a row's runs, one per seed: higher is better.

        None if a run or a client has no number.
        """
        found = [run.metrics[self.name] for run in runs if self.name in run.metrics]
        if len(found) < len(runs) or not np.isfinite(found).all():
            return None
        values: Floats = np.array(found, dtype=np.float64)
        return values if self.higher_is_better else -values


def score_of(name: str, runs: Iterable[StoredRun]) -> Score | None:
    """Return the score of a name; None for "accuracy".

    Raises
    ------
    UnknownNameError
        No complete run has such a metric.
    """
    if name == "accuracy":
        return None
    known = {"accuracy"}
    for run in runs:
        if run.status == "complete":
            known |= set(metrics_of_plugins(run.arrow("metrics")))
    if name not in known:
        raise UnknownNameError("score", name, known)
    record = _record_of(name)
    return Score(name, record is None or record.higher_is_better)


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
    """Describe a metric, if an installed plugin knows it."""
    record = _record_of(name)
    if record is None:
        return "a metric of a plugin that is not installed here"
    summary = record.summary.rstrip(".")
    return f"{summary}; {'higher' if record.higher_is_better else 'lower'} is better"


def _record_of(name: str) -> MetricSpec | None:
    return next((spec for spec in installed().metrics.specs() if spec.name == name), None)


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
