"""The states of a matrix's cells: done, running, failed, unfinished, or not started."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from pflbench.errors import InputError
from pflbench.schema.scenario import Cell, Choice

if TYPE_CHECKING:
    from pflbench.experiments.grid.sharding import Shard
    from pflbench.results import Store, StoredRun
    from pflbench.runs import RunRequest
    from pflbench.runs.identity import Identified

State = Literal["done", "running", "failed", "damaged", "unfinished", "missing", "impossible"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True)
class Standing:
    """A cell and its state.

    Attributes
    ----------
    run_id, cell
        The cell.
    dataset
        Its data set as written.
    state
        "done"; "running" by `holder`; "failed" for a `reason`; "damaged", which a run replaces, for
        a `reason`; "unfinished", to resume after round `reached`; "missing"; "impossible", refused
        by a run for a `reason`.
    run
        Its stored run, or None.
    """

    run_id: str
    cell: Cell
    dataset: str
    state: State
    reason: str = ""
    holder: str = ""
    reached: int = 0
    run: StoredRun | None = dataclasses.field(default=None, repr=False, compare=False)


def identified(requests: Iterable[RunRequest]) -> dict[str, Identified]:
    """Resolve requests to their cells, by run id: equal ones are one cell.

    Raises
    ------
    InputError
        A cell is not valid.
    """
    from pflbench.runs.identity import identify  # it imports torch
    from pflbench.runs.resolved_data import DataCache

    found: dict[str, Identified] = {}
    cache = DataCache(steady=True)
    for request in requests:
        one = identify(request, cache=cache)
        found.setdefault(one.cell.id, one)
    return found


def share_of(cells: Mapping[str, Identified], shard: Shard | None) -> dict[str, Identified]:
    """Return a shard's cells, by run id: no two shards share a cell. All cells without a shard.

    Raises
    ------
    InputError
        The cells are fewer than the shards.
    """
    if shard is None:
        return dict(cells)
    every = list(cells.values())
    chosen = shard.pick(every, kind=lambda found: method_key(found.cell.algorithm))
    if not chosen:
        raise InputError(
            f"Shard {shard.number}/{shard.of} has no cells: the matrix has {len(every)}."
        )
    return {found.cell.id: found for found in chosen}


def survey(cells: Mapping[str, tuple[Cell, str]], store: Store | None) -> list[Standing]:
    """Look up the states of cells.

    Parameters
    ----------
    cells
        Run id to cell and data set as written.
    store
        The results; None if the folder does not exist yet.

    Raises
    ------
    InputError
        A run was written by another version.
    """
    standings = []
    for run_id, (cell, dataset) in cells.items():
        run = None if store is None else store.get(run_id)
        standings.append(_standing(run_id, cell, dataset, run, store))
    return standings


def survey_all(store: Store) -> list[Standing]:
    """Look up the states of all runs of a results folder.

    Raises
    ------
    InputError
        A run was written by another version.
    """
    return [
        _standing(
            run.id,
            cell := run.typed_cell,
            str(run.labels.get("dataset") or cell.scenario.dataset),
            run,
            store,
        )
        for run in store.runs()
    ]


def _standing(
    run_id: str, cell: Cell, dataset: str, run: StoredRun | None, store: Store | None
) -> Standing:
    if run is not None and run.status == "complete":
        return Standing(run_id, cell, dataset, "done", run=run)
    holder = None if store is None else store.held(run_id)
    reached = run.reached if run is not None and run.status == "unfinished" else 0
    if holder is not None:
        return Standing(run_id, cell, dataset, "running", holder=holder, reached=reached, run=run)
    if run is None:
        return Standing(run_id, cell, dataset, "missing")
    if run.status == "damaged":
        return Standing(run_id, cell, dataset, "damaged", reason=run.damage_in_short, run=run)
    if run.status == "failed":
        reason = " ".join(str(run.failure.get("message") or run.failure.get("error") or "").split())
        return Standing(run_id, cell, dataset, "failed", reason=reason, run=run)
    return Standing(run_id, cell, dataset, "unfinished", reached=reached, run=run)


def counts(standings: Iterable[Standing]) -> dict[State, int]:
    """Count the cells by state, all states included."""
    found = Counter(standing.state for standing in standings)
    return {state: found[state] for state in STATES}


def method_labels(standings: Iterable[Standing]) -> dict[str, str]:
    """Name the methods of cells, by `method_key`: with the parameters that differ."""
    from pflbench.analysis.row_names import installed_defaults, labels

    choices = {method_key(s.cell.algorithm): s.cell.algorithm for s in standings}
    return dict(zip(choices, labels(list(choices.values()), installed_defaults), strict=True))


def method_key(choice: Choice) -> str:
    """Return a key that is equal for cells of one method with the same parameters."""
    return f"{choice} {choice.version}"


def scenario_titles(standings: Iterable[Standing]) -> dict[str, str]:
    """Name the scenarios of cells, by id; equal names get the differences."""
    from pflbench.analysis.row_names import titles

    return titles({s.cell.scenario.id: (s.dataset, s.cell.scenario) for s in standings})
