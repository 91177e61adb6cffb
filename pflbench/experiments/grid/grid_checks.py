"""Checking the cells of a matrix as a run does before it trains: a rehearsal refuses the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pflbench.errors import InputError
from pflbench.experiments.grid.survey import Standing
from pflbench.schema.error_text import sentence

if TYPE_CHECKING:
    from pflbench.results import Store, StoredRun
    from pflbench.runs import RunRequest
    from pflbench.runs.identity import Identified


def checked(
    requests: Iterable[RunRequest],
    store: Store | None,
    device: Callable[[str], str] = lambda name: name,
) -> dict[str, Identified]:
    """Plan every incomplete cell, so that all errors are raised before any cell runs.

    Of a cell that is complete, only the identity is worked out: that takes no time.

    Parameters
    ----------
    requests
        The cells.
    store
        Where results are; None to look at none, and plan every cell.
    device
        Maps the requested device to this process's device.

    Returns
    -------
    Run id to cell: equal cells appear once.

    Raises
    ------
    InputError
        A cell is not valid, or the results folder is damaged or cannot be written.
    """
    from pflbench.runs.identity import identify
    from pflbench.runs.planning import made
    from pflbench.runs.resolved_data import DataCache  # it imports torch
    from pflbench.runs.reuse import say_lacking

    cells: dict[str, Identified] = {}
    complete: dict[Sequence[str], list[StoredRun]] = defaultdict(list)
    cache = DataCache(steady=True)
    for asked in requests:
        request = replace(asked, device=device(asked.device))
        found = identify(request, cache=cache)
        if found.cell.id in cells:
            continue
        there = None if store is None else store.get(found.cell.id)
        if there is None or there.status != "complete" or request.rerun == "always":
            if store is not None:
                store.check_writable()
            made(found)
        else:
            complete[request.metrics].append(there)
        cells[found.cell.id] = found
    for metrics, runs in complete.items():
        say_lacking(runs, metrics)
    return cells


def with_impossible(
    standings: Iterable[Standing], cells: Mapping[str, Identified]
) -> list[Standing]:
    """Plan the cells without a stored run; return why some cannot be run."""
    from pflbench.runs.planning import made

    told = []
    for standing in standings:
        if standing.state == "missing":
            try:
                made(cells[standing.run_id])
            except InputError as error:
                standing = replace(standing, state="impossible", reason=sentence(error))
        told.append(standing)
    return told
