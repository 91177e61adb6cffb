"""Opening a run, or finding it complete, safely with other processes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress

from pflbench.errors import Notice
from pflbench.results import RunCompleteError, RunWriter, Store, StoredRun
from pflbench.runs.environment import environment
from pflbench.runs.identity import path_labels
from pflbench.runs.planning import PlannedRun


def take(planned: PlannedRun, store: Store, processes: int) -> RunWriter | StoredRun:
    """Return a run that is complete and not to be run again; else take its lock and open it.

    Between reading the run and locking it, other processes may complete, replace or remove it: a
    process that finds it complete only then reads it again.

    Parameters
    ----------
    processes
        How many share the run's clients out.

    Raises
    ------
    RunBusyError
        Another process is running it.
    WorkError, InputError
        As `Store.open` says.
    """
    again = planned.request.rerun == "always"
    while True:
        there = store.get(planned.cell.id)
        if there is not None and there.status == "complete" and not again:
            store.tidy(there)
            say_lacking([there], planned.request.metrics)
            return there
        with suppress(RunCompleteError):
            return _open(planned, store, processes, again)


def say_lacking(there: Sequence[StoredRun], metrics: Sequence[str]) -> None:
    """Give a notice of complete runs that were run without metrics that are asked for now."""
    if not metrics:
        return
    columns = [(run.id, run.arrow("metrics").column_names) for run in there]
    for name in metrics:
        lacking = [run for run, names in columns if name not in names]
        if lacking:
            which = (
                f"{len(lacking):,} complete runs lack"
                if lacking[1:]
                else (f"Run {lacking[0]} is complete and lacks")
            )
            warnings.warn(
                f"{which} the metric {name!r}: a run with --rerun always computes it.",
                Notice,
                stacklevel=2,
            )


def _open(planned: PlannedRun, store: Store, processes: int, again: bool) -> RunWriter:
    labels = {
        "dataset": planned.dataset,
        **path_labels(planned.cell.scenario),
        "command": planned.command,
        # The replacement of the requested data set; the notice itself names paths on this machine.
        "notice": planned.federation.source if planned.notice else "",
    }
    where = environment(planned.device, planned.engine, planned.sharing(processes))
    where["processes"] = processes
    return store.open(planned.cell.to_json(), labels, where, replace=again)
