"""Running many cells to their end, also where another process runs some of them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pflbench.experiments.executors.executor import Executor, Outcome, Watch, Work, find
from pflbench.results import Store

SECONDS_BETWEEN_LOOKS = 1.0
"""How often to check whether another process has ended a cell."""


def run_cells(
    works: Sequence[Work], executor: Executor, watch: Watch | None = None
) -> dict[str, Outcome]:
    """Run cells, each once; at the end return to those that another process runs.

    Parameters
    ----------
    works
        The cells; cells with one run id are run once.
    executor
        Where to run them; it has been entered.
    watch
        Notified of the cells' progress.

    Returns
    -------
    Run id to the cell's outcome, in the order of `works`; none is "busy".
    """
    watch = watch or Watch()
    by_id = {work.run_id: work for work in works}
    outcomes = _found(list(by_id.values()), watch)
    ahead = [work for work in by_id.values() if work.run_id not in outcomes]
    busy: list[Work] = []
    if ahead:
        executor.begin(ahead)
    for results in {work.results for work in ahead}:
        Store(results, create=True).make()
    while ahead or busy:
        for outcome in executor.run(ahead, watch):
            work = by_id[outcome.run_id]
            watch.ended(work, outcome)
            if outcome.status == "busy":
                busy.append(work)
            else:
                outcomes[outcome.run_id] = outcome
        free = _until_free(busy, watch)
        those = {work.run_id for work in free}
        busy = [work for work in busy if work.run_id not in those]
        ahead = []
        for work in free:
            failed = _failed(work)
            if failed is None:
                ahead.append(work)
            else:
                outcomes[work.run_id] = failed
                watch.ended(work, failed)
    return {run_id: outcomes[run_id] for run_id in by_id}


def _found(works: Sequence[Work], watch: Watch) -> dict[str, Outcome]:
    """Look for the cells that need not be run."""
    stores = {work.results: Store(work.results, missing_ok=True) for work in works}
    found = [(work, find(work, stores[work.results])) for work in works]
    there = [(work, result) for work, result in found if result is not None]
    for work, _ in there:
        work.found = None
    if there:
        watch.there(there)
    return {work.run_id: Outcome(work.run_id, "there") for work, _ in there}


def _failed(work: Work) -> Outcome | None:
    """Return the outcome of a cell that failed in another process meanwhile."""
    run = Store(work.results, missing_ok=True).get(work.run_id)
    if run is None or run.status != "failed":
        return None
    return Outcome(work.run_id, "failed", str(run.failure.get("message", "It failed elsewhere.")))


def _until_free(works: Sequence[Work], watch: Watch) -> list[Work]:
    """Wait until a cell can be run or is complete; return all such cells."""
    said = False
    while works:
        holders = [Store(work.results, missing_ok=True).held(work.run_id) for work in works]
        free = [work for work, holder in zip(works, holders, strict=True) if holder is None]
        if free:
            return free
        if not said:
            watch.waiting(works, sorted({holder for holder in holders if holder is not None}))
            said = True
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return []
