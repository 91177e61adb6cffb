"""Scores of one complete run for leaderboards and comparisons, read from its tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pflbench.analysis.relatedness_score import SCORES as RELATED
from pflbench.errors import InputError
from pflbench.results import StoredRun, selected_round
from pflbench.results.measures import PERSONAL, STAGES, Floats, Ints, by_client
from pflbench.schema.specs import METRICS_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

COSTS = ("local_steps", "adapt_steps", "bytes_up", "bytes_down", "seconds")
KEPT = (*COSTS, *RELATED)
"""Optional numbers of a run's summary that boards average over seeds."""

CALIBRATION = {"nll": "loss", "brier": "brier", "ece": "ece"}
"""Measures of calibration, and the columns of the metrics that they are in."""

BY_SAMPLES = ("nll", "brier")
"""Metrics that are means over a client's samples; an expected calibration error is not."""

_NUMBERS = ("round", "client", "samples", "correct", *CALIBRATION.values())


@dataclass(frozen=True)
class Scores:
    """Numbers of one complete run: accuracies in [0, 1], by client where [N].

    Attributes
    ----------
    clients, test, samples
        [N] numbers of the clients that were tested, their test accuracy at the selected round,
        and the test samples that it is a mean over.
    selected
        The round selected on validation.
    evaluations, last_round
        How many rounds it was selected among, and the last of them.
    val, last, best
        Means over clients: on validation at the selected round; on test after the last round and
        at the round that is best on test.
    calibration
        Of `CALIBRATION`, on test at the selected round: mean over clients.
    by_samples
        The metrics that are means over samples, as means over all clients' samples.
    kept
        The summary's numbers of `KEPT`.
    metrics
        [N] by name: metrics of plugins, on test at the selected round.
    """

    clients: Ints
    test: Floats
    samples: Ints
    selected: int
    evaluations: int
    last_round: int
    val: float
    last: float
    best: float
    calibration: Mapping[str, float]
    by_samples: Mapping[str, float]
    kept: Mapping[str, float]
    metrics: Mapping[str, Floats] = field(default_factory=dict)


def scores(run: StoredRun, stage: str = PERSONAL) -> Scores:
    """Read the scores of a complete run, of its personal models or of another stage.

    Raises
    ------
    InputError
        Its metrics are missing, damaged or have gaps; the message names them.
    """
    import pyarrow.compute as pc

    name = "metrics" if stage == PERSONAL else STAGES
    table = run.arrow(name)
    if not {"split", "stage", *_NUMBERS} <= set(table.column_names):
        table = run.arrow(name, ("split", "stage", *_NUMBERS))  # which says what is missing
    here = pc.equal(table["stage"], stage)
    parts = {
        split: table.filter(pc.and_(here, pc.equal(table["split"], split)))
        for split in ("val", "test")
    }
    numbers = {s: {n: part[n].to_numpy() for n in _NUMBERS} for s, part in parts.items()}
    further = metrics_of_plugins(table)
    try:
        val, test = (by_client(part, split, stage) for split, part in numbers.items())
        if not np.array_equal(val.rounds, test.rounds):
            raise InputError("Validation and test were evaluated after different rounds.")
    except InputError as error:
        raise InputError(f"The metrics of run {run.id} cannot be used: {error}") from error
    selected = selected_round(val)
    means = test.means()
    here = numbers["test"]["round"] == selected
    there = {name: values[here] for name, values in numbers["test"].items()}
    samples = there["samples"]
    order = np.argsort(there["client"])
    return Scores(
        clients=test.clients,
        test=test.at(selected),
        samples=test.samples,
        selected=selected,
        evaluations=len(val.rounds),
        last_round=int(val.rounds[-1]),
        val=float(val.at(selected).mean()),
        last=float(means[-1]),
        best=float(means.max()),
        calibration={name: float(there[column].mean()) for name, column in CALIBRATION.items()},
        by_samples={
            name: float(np.average(there[CALIBRATION[name]], weights=samples))
            for name in BY_SAMPLES
        },
        kept={k: run.summary[k] for k in KEPT if isinstance(run.summary.get(k), (int, float))},
        metrics={name: parts["test"][name].to_numpy()[here][order] for name in further},
    )


def metrics_of_plugins(table: pa.Table) -> list[str]:
    """Return the columns of a metrics table that are metrics of plugins."""
    return [
        name
        for name, type in zip(table.column_names, table.schema.types, strict=True)
        if name not in METRICS_COLUMNS and str(type) in ("float", "double")
    ]
