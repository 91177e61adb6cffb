"""Metrics of plugins on boards: means over seeds, and their descriptions."""

from __future__ import annotations

import math
from collections import defaultdict
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
    partial: bool = False
    """Whether clients may lack a number, and are left out then."""

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

        Where clients may lack a number it is the mean of the others [S, 1]. None if a run or a
        client has no number.
        """
        found = [run.metrics[self.name] for run in runs if self.name in run.metrics]
        if self.partial:
            found = [np.array([mean_of(values)]) for values in found]
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
    if record is None:
        return Score(name)
    return Score(name, record.higher_is_better, bool(record.undefined))


def mean_of(values: Floats) -> float:
    """Return the mean over the clients that have a number; NaN if none has one."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


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
    clients, without
        Clients of all seeds together; and those of them that have no number, and are left out.
    by_seed
        The mean of each seed.
    """

    mean: float
    std: float | None
    low: float | None
    high: float | None
    clients: int
    without: int
    by_seed: tuple[float, ...] = ()

    @classmethod
    def of(cls, values: Sequence[Floats]) -> Further:
        """Return the metric of a row, given each seed's clients [N]; NaN is left out."""
        by_seed = [mean_of(clients) for clients in values]
        mean = float(np.mean(by_seed))
        counts = sum(map(len, values)), sum(int(np.isnan(one).sum()) for one in values)
        if len(by_seed) < 2 or not np.isfinite(by_seed).all():
            return cls(mean, None, None, None, *counts, tuple(by_seed))
        low, high = (float(end) for end in t_interval(by_seed))
        return cls(mean, float(np.std(by_seed, ddof=1)), low, high, *counts, tuple(by_seed))


def further(runs: Sequence[Scores]) -> dict[str, Further]:
    """Return the metrics that all runs of a row, one a seed, have of all their clients.

    A mean over the clients that happen to have a number would not be that of another row: only
    where the metric's record says which clients have none, they are left out.
    """
    names = [name for name in runs[0].metrics if all(name in run.metrics for run in runs)]
    found = {name: Further.of([run.metrics[name] for run in runs]) for name in names}
    return {
        name: one
        for name, one in found.items()
        if np.isfinite(one.mean) and (not one.without or may_lack(name))
    }


def may_lack(name: str) -> bool:
    """Whether the record of a metric says that clients may lack a number."""
    record = _record_of(name)
    return record is not None and bool(record.undefined)


def without_notes(rows: Iterable[Row]) -> Iterable[str]:
    """Say over how many clients means are not, because these have no number."""
    lacking: dict[tuple[str, int, int], list[str]] = defaultdict(list)
    for row in rows:
        for name, one in row.metrics.items():
            if one.without:
                lacking[name, one.without, one.clients].append(row.label)
    for (name, without, clients), labels in sorted(lacking.items()):
        record = _record_of(name)
        why = "" if record is None else f" ({record.undefined})"
        yield (
            f"{name} is undefined for {without:,} of {clients:,} clients of all seeds{why}, which "
            f"its mean leaves out: {', '.join(sorted(labels))}."
        )


def names(rows: Iterable[Row]) -> list[str]:
    """Return the metrics that some row has, in alphabetical order."""
    return sorted({name for row in rows for name in row.metrics})


def meaning(name: str) -> str:
    """Describe a metric, if an installed plugin knows it."""
    record = _record_of(name)
    if record is None:
        return "a metric of a plugin that is not installed here"
    summary = record.summary.rstrip(".")
    undefined = f"; undefined for {record.undefined}" if record.undefined else ""
    better = "higher" if record.higher_is_better else "lower"
    return f"{summary}; {better} is better{undefined}"


def higher_is_better(name: str) -> bool:
    """Whether more of a metric is better, as its record says; if it is not installed, it is."""
    record = _record_of(name)
    return record is None or record.higher_is_better


def _record_of(name: str) -> MetricSpec | None:
    return next((spec for spec in installed().metrics.specs() if spec.name == name), None)


def record(metrics: Mapping[str, Further]) -> dict[str, float | int | None]:
    """Return a row's metrics as columns of its record."""
    return {
        f"metric_{name}{part}": value
        for name, found in sorted(metrics.items())
        for part, value in (
            ("", found.mean),
            ("_std", found.std),
            ("_low", found.low),
            ("_high", found.high),
            ("_without", found.without),
        )
    }
