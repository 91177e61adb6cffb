"""Cells whose worker process died: number of attempts, and the failed run after them."""

from __future__ import annotations

import dataclasses

from pflbench.errors import PflbenchError
from pflbench.experiments.executors.executor import Outcome, Work

ATTEMPTS = 3
"""Most attempts of a cell whose worker process dies each time."""


def again(work: Work) -> Work:
    """Return the work after a cell's worker process died: resume from its last checkpoint.

    With rerun="always", too, the work of the lost attempt is resumed.
    """
    from pflbench.results import Store

    if work.request.rerun != "always":
        return work
    there = Store(work.results, missing_ok=True).get(work.run_id)
    if there is None or there.status == "complete":  # it died before it had begun
        return work
    request = dataclasses.replace(work.request, rerun="missing")
    return dataclasses.replace(work, request=request, found=None)


def lost(work: Work, how: str, times: int) -> Outcome:
    """Keep a cell as a failed run, with the reason that its worker process died each time.

    Parameters
    ----------
    how
        How it ended: "signal 9".
    times
        How often.
    """
    reason = f"The worker process died, {how}, {times} times."
    try:
        _keep(work, reason)
    except PflbenchError as error:  # the reason is reported in any case
        reason = f"{reason} It could not be kept as a failed run: {error}"
    return Outcome(work.run_id, "failed", reason)


def _keep(work: Work, reason: str) -> None:
    from pflbench.engine import Sharing, choose_device
    from pflbench.results import Store
    from pflbench.runs.environment import environment
    from pflbench.runs.identity import command_for, identify

    store = Store(work.results)
    there = store.get(work.run_id)
    if there is not None and there.status == "complete":
        return  # the old run, before the new attempt replaced it
    if there is not None and there.cell:
        cell, labels = there.cell, there.labels
        where = {k: v for k, v in there.environment.items() if k != "earlier"}
    else:  # not planned in full: planning may have killed the worker
        found = identify(work.request)
        cell = found.cell.to_json()
        labels = {
            "dataset": found.dataset,
            "command": command_for(found.cell, found.dataset),
            "notice": "",
        }
        device = choose_device(work.request.device)
        where = environment(device, work.request.engine, Sharing(0, 0))
        where.update(chunk=None, chunk_cores=None, processes=1)
    failure = {
        "error": "WorkerDied",
        "message": reason,
        "round": None,
        "client": None,
        "step": None,
    }
    with store.open(cell, labels, where) as writer:
        writer.fail({}, failure)
