"""Opening a run, or finding it complete, safely with other processes."""

from __future__ import annotations

from contextlib import suppress

from pflbench.results import RunCompleteError, RunWriter, Store, StoredRun
from pflbench.runs.environment import environment
from pflbench.runs.identity import population_label
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
            return there
        with suppress(RunCompleteError):
            return _open(planned, store, processes, again)


def _open(planned: PlannedRun, store: Store, processes: int, again: bool) -> RunWriter:
    labels = {
        "dataset": planned.dataset,
        **population_label(planned.cell.scenario.population),
        "command": planned.command,
        # The replacement of the requested data set; the notice itself names paths on this machine.
        "notice": planned.federation.source if planned.notice else "",
    }
    where = environment(planned.device, planned.engine, planned.sharing(processes))
    where["processes"] = processes
    return store.open(planned.cell.to_json(), labels, where, replace=again)
