"""The course of a board's runs: accuracy, bytes and seconds by round."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pflbench.analysis import Board
from pflbench.analysis.run_costs import client_tables
from pflbench.errors import InputError
from pflbench.results import Store, StoredRun, selected_round
from pflbench.results.measures import Floats, Ints


@dataclass(frozen=True, eq=False)
class History:
    """One run after each evaluated round [R].

    Attributes
    ----------
    seed
        The run's.
    rounds
        [R] rounds done, ascending.
    val, test
        [R] accuracy in [0, 1]: mean over clients.
    bytes
        [R] up and down, all clients together, set-up included.
    seconds
        [R] wall time of local training and of the server, evaluations left out.
    selected
        Place in [R] of the round selected on validation.
    """

    seed: int
    rounds: Ints
    val: Floats
    test: Floats
    bytes: Floats
    seconds: Floats
    selected: int


def histories(board: Board, store: Store) -> dict[str, tuple[History, ...]]:
    """Read the runs of a board's ranked rows.

    Returns
    -------
    By the row's label, in the order of the board: a history a seed.

    Raises
    ------
    InputError
        A run is gone, or its tables are missing, damaged or have gaps.
    """
    return {
        row.label: tuple(
            _history(_run(store, row.run_ids[seed]), seed, row.stage) for seed in board.seeds
        )
        for row in board.rows
        if row.measures is not None
    }


def _run(store: Store, run_id: str) -> StoredRun:
    run = store.get(run_id)
    if run is None:
        raise InputError(f"Run {run_id} is no longer in {store.root}.")
    return run


def _history(run: StoredRun, seed: int, stage: str) -> History:
    val, test = client_tables(run, stage)
    chosen = int(np.flatnonzero(val.rounds == selected_round(val))[0])
    return History(
        seed=seed,
        rounds=test.rounds,
        val=val.means(),
        test=test.means(),
        bytes=_up_to(run, "messages", ("bytes",), test.rounds),
        seconds=_up_to(run, "rounds", ("client_seconds", "server_seconds"), test.rounds),
        selected=chosen,
    )


def _up_to(run: StoredRun, table: str, names: tuple[str, ...], rounds: Ints) -> Floats:
    """Return the sum of some columns over all rounds up to each of some rounds."""
    columns = run.arrow(table, ("round", *names))
    at = columns["round"].to_numpy()
    order = np.argsort(at, kind="stable")
    spent = sum((columns[name].to_numpy().astype(np.float64) for name in names), np.zeros(len(at)))
    total = np.concatenate([[0.0], np.cumsum(spent[order])])
    found: Floats = total[np.searchsorted(at[order], rounds, side="right")]
    return found
