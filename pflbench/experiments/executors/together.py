"""Cells one after the other, each shared out among several processes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from traceback import format_exception

from pflbench.engine.process_group import Group
from pflbench.experiments.executors.executor import Outcome, Watch, Work
from pflbench.results import Store
from pflbench.runs import Observer, execute
from pflbench.schema.error_text import sentence


def run_together(works: Sequence[Work], group: Group, watch: Watch) -> dict[str, Outcome]:
    """Run cells as one of several processes, each of which calls this with the same cells.

    Only the first process keeps results.

    Returns
    -------
    Run id to the cell's outcome, in the order of `works`; an already complete one is "complete".
    """
    outcomes = {}
    for work in works:
        watch.began(work)
        outcomes[work.run_id] = outcome = _run(work, watch.observers(work), group)
        watch.ended(work, outcome)
    return outcomes


def _run(work: Work, observers: Iterable[Observer], group: Group) -> Outcome:
    try:
        with group.together():
            store = Store(work.results, missing_ok=True) if group.first else None
            execute(work.plan(), store, observers, group)
    except Exception as error:  # any error stops only this cell
        return Outcome(work.run_id, "failed", sentence(error), "".join(format_exception(error)))
    return Outcome(work.run_id, "complete")
