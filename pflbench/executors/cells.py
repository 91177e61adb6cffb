"""Running many cells to their end, also where another process runs some of them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pflbench.executors.base import Executor, Outcome, Watch, Work
from pflbench.results import Store

SECONDS_BETWEEN_LOOKS = 1.0
"""How often it is looked whether another process has ended a cell."""


def run_cells(
    works: Sequence[Work], executor: Executor, watch: Watch | None = None
) -> dict[str, Outcome]:
    """Run cells, each once; come back at the end to those that another process runs.

    Parameters
    ----------
    works
        The cells; those of one run id are run once.
    executor
        Where to run them; it has been entered.
    watch
        Told how the cells fare.

    Returns
    -------
    Run id to what became of the cell, in the order of `works`; none is "busy".
    """
    watch = watch or Watch()
    by_id = {work.run_id: work for work in works}
    outcomes: dict[str, Outcome] = {}
    ahead = list(by_id.values())
    while ahead:
        busy = []
        for outcome in executor.run(ahead, watch):
            work = by_id[outcome.run_id]
            watch.ended(work, outcome)
            if outcome.status == "busy":
                busy.append((work, outcome))
            else:
                outcomes[outcome.run_id] = outcome
        if busy:
            watch.waiting([work for work, _ in busy], [outcome.message for _, outcome in busy])
        ahead = _until_free([work for work, _ in busy])
    return {run_id: outcomes[run_id] for run_id in by_id}


def _until_free(works: Sequence[Work]) -> list[Work]:
    """Wait until a cell can be run or is complete; return those of which that is so."""
    while works:
        free = [work for work in works if not Store(work.results, create=True).held(work.run_id)]
        if free:
            return free
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return []
