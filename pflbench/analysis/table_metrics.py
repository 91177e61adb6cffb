"""Metrics of a table of methods × scenarios: their numbers by seed, direction and unit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from pflbench.analysis.board import Row
from pflbench.analysis.further_metrics import higher_is_better, meaning
from pflbench.analysis.further_metrics import names as further_names
from pflbench.analysis.protocol import BASELINE
from pflbench.errors import UnknownNameError
from pflbench.results.measures import Floats

AGAINST_BASELINE: Final = ("gain", "hurt")
"""Metrics that the baseline itself has no number of."""

Unit = Literal["percent", "points", "tenths of percent", "three digits", "four digits"]


@dataclass(frozen=True)
class TableMetric:
    """A number that each row of a board has.

    Attributes
    ----------
    name
        As users write it.
    title
        The head of its column.
    meaning
        Its definition, for a footnote.
    key
        Its name in `Row.by_seed`; "" for a metric of a plugin.
    unit
        How it is written.
    higher_is_better
        Its direction.
    least, most
        Its bounds: intervals end there.
    """

    name: str
    title: str
    meaning: str
    key: str
    unit: Unit
    higher_is_better: bool = True
    least: float = -math.inf
    most: float = math.inf

    def of(self, row: Row) -> Floats | None:
        """Return a row's numbers by seed [S]; None if it has none."""
        if self.name in AGAINST_BASELINE and row.baseline:
            return None
        if not self.key:
            found = row.metrics.get(self.name)
            return None if found is None else np.array(found.by_seed)
        numbers = row.by_seed.get(self.key)
        return None if numbers is None else np.array(numbers, dtype=np.float64)


_SELECTED = "at the round selected on validation"

BUILT_IN: Final = (
    TableMetric(
        "accuracy",
        "accuracy",
        "test accuracy (%) of each client's personal model on that client's own test samples, "
        f"{_SELECTED}; mean over clients, then over seeds",
        "test_accuracy",
        "percent",
        least=0.0,
        most=1.0,
    ),
    TableMetric(
        "worst-tenth",
        "worst tenth",
        "test accuracy (%), mean over the tenth of clients that it is lowest for",
        "worst_tenth",
        "percent",
        least=0.0,
        most=1.0,
    ),
    TableMetric(
        "worst-client",
        "worst client",
        "test accuracy (%) of the client that it is lowest for",
        "worst_client",
        "percent",
        least=0.0,
        most=1.0,
    ),
    TableMetric(
        "by-samples",
        "by samples",
        "test accuracy (%), mean over test samples instead of clients",
        "sample_mean",
        "percent",
        least=0.0,
        most=1.0,
    ),
    TableMetric(
        "last-round",
        "last round",
        "test accuracy (%) after the last round, without any selection",
        "last_accuracy",
        "percent",
        least=0.0,
        most=1.0,
    ),
    TableMetric(
        "gain",
        f"gain over {BASELINE}",
        f"test accuracy minus that of {BASELINE}, same seed and client by client, in points",
        "gain",
        "points",
        least=-1.0,
        most=1.0,
    ),
    TableMetric(
        "hurt",
        "hurt %",
        f"share of clients (%) with lower test accuracy than under {BASELINE}",
        "hurt",
        "tenths of percent",
        higher_is_better=False,
        least=0.0,
        most=1.0,
    ),
    TableMetric(
        "nll",
        "NLL",
        f"negative log likelihood of the label in nats, test, {_SELECTED}",
        "nll",
        "three digits",
        higher_is_better=False,
        least=0.0,
    ),
    TableMetric(
        "brier",
        "Brier",
        "squared distance of the predicted distribution from the one-hot label, from 0 to 2, test, "
        f"{_SELECTED}",
        "brier",
        "three digits",
        higher_is_better=False,
        least=0.0,
        most=2.0,
    ),
    TableMetric(
        "ece",
        "ECE %",
        "expected calibration error (%) of the most probable class, 15 bins, within a client, "
        f"test, {_SELECTED}",
        "ece",
        "percent",
        higher_is_better=False,
        least=0.0,
        most=1.0,
    ),
)
"""Metrics that every run has."""


def metrics_named(names: Sequence[str], rows: Iterable[Row]) -> tuple[TableMetric, ...]:
    """Return the metrics of these names, each once; the rows say which plugins' metrics exist.

    Raises
    ------
    UnknownNameError
        No row has such a metric.
    """
    known = {metric.name: metric for metric in BUILT_IN}
    for name in further_names(rows):
        known.setdefault(name, _of_plugin(name))
    for name in names:
        if name not in known:
            raise UnknownNameError("metric", name, known)
    return tuple(known[name] for name in dict.fromkeys(names))


def _of_plugin(name: str) -> TableMetric:
    words = f"{meaning(name)}; test, {_SELECTED}, mean over clients, then over seeds"
    return TableMetric(
        name, name, words, "", "four digits", higher_is_better=higher_is_better(name)
    )
