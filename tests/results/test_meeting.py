"""Several processes in one results folder: no run is written twice, none is damaged."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from platform import node

import pandas as pd
import pytest

if sys.platform == "win32":
    pytest.skip("processes are forked here, and killed", allow_module_level=True)

import fcntl

from meeting_writers import ROUNDS, Journal, change, table_of, work
from other_processes import PATIENCE

from pflbench.errors import WorkError
from pflbench.results import RunBusyError, RunCompleteError, Store
from pflbench.schema.scenario import Cell

PROCESSES, KILLS = 3, 40


def fork(do: Callable[[], object]) -> int:
    """Do something in another process; return its number."""
    child = os.fork()
    if child:
        return child
    try:
        do()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


@pytest.mark.slow
def test_processes_that_are_killed_share_the_runs_out(
    root: Path, tmp_path: Path, cells: list[Cell]
) -> None:
    journal, seeds, kills = tmp_path / "journal", iter(range(1000)), 0

    def start() -> int:
        seed, mortal = next(seeds), kills < KILLS
        return fork(lambda: work(root, cells, seed, mortal, journal))

    alive = {start() for _ in range(PROCESSES)}  # each may be the one that makes the folder
    while alive:
        child, status = os.wait()
        if child not in alive:
            continue
        alive.remove(child)
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGALRM
            kills += 1
            alive.add(start())
        else:
            assert os.waitstatus_to_exitcode(status) == 0
    check_journal(journal, cells)
    assert kills >= 10, "hardly anything was interrupted"
    check_folder(Store(root), cells)


def check_journal(journal: Path, cells: list[Cell]) -> None:
    lines = [line.split() for line in journal.read_text().splitlines()]
    for cell in cells:
        acts = [act for act, run_id, _ in lines if run_id == cell.id]
        assert acts.count("completed") <= 1  # one may be killed when it has done so
        if "completed" in acts:
            assert "opened" not in acts[acts.index("completed") :]
    assert {"opened", "completed", "there"} <= {act for act, *_ in lines}


def check_folder(store: Store, cells: list[Cell]) -> None:
    """Assert that all runs are complete and right, and that nothing else is there."""
    runs = {run.id: run for run in store.runs()}
    assert runs.keys() == {cell.id for cell in cells}
    for cell in cells:
        with pytest.raises(RunCompleteError):
            store.open(cell.to_json(), {}, {})
        run = runs[cell.id]
        assert (run.status, run.summary) == ("complete", {"rounds": ROUNDS})
        pd.testing.assert_frame_equal(run.table("rounds"), table_of(cell, ROUNDS), check_exact=True)
        store.tidy(run)
        names = {path.name for path in run.folder.iterdir()}
        assert names == {"run.json", "environment.json", "summary.json", "rounds.parquet"}
        assert store.held(cell.id) is None
    assert {path.name for path in store.root.iterdir()} == {"pflbench.json", "runs", ".locks"}
    assert {path.name for path in (store.root / "runs").iterdir()} == runs.keys()
    assert {path.suffix for path in (store.root / ".locks").iterdir()} == {".lock"}


def test_reading_what_another_process_changes(root: Path, tmp_path: Path, cell: Cell) -> None:
    store, journal = Store(root, create=True), tmp_path / "journal"
    other = fork(lambda: change(root, cell, journal))
    try:
        seen, deadline = set(), time.monotonic() + PATIENCE
        while (len(seen) < 4 or lines(journal) < 40) and time.monotonic() < deadline:
            assert os.waitpid(other, os.WNOHANG) == (0, 0), "the other process failed"
            run = store.get(cell.id)
            seen.add(run.status if run else "missing")
            seen.update(run.status for run in store.runs())
            assert store.held(cell.id) in (None, "another process", f"process {other} on {node()}")
    finally:
        os.kill(other, signal.SIGKILL)
        os.waitpid(other, 0)
    assert seen == {"missing", "complete", "failed", "unfinished"}


def lines(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


@pytest.mark.slow
def test_those_who_ask_keep_nobody_from_a_run(
    store: Store, cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # slow
    # On a busy machine, one who asks may be stopped for long while it has the lock.
    monkeypatch.setattr("pflbench.results.locking.PATIENCE", 10.0)
    store.open(cell.to_json(), {}, {}).close()
    journal = tmp_path / "journal"

    def ask() -> None:
        note = Journal(journal)
        while True:
            for _ in range(10):
                store.held(cell.id)
            note("asked", cell.id)

    asking = [fork(ask) for _ in range(2)]
    try:
        while lines(journal) < 500:
            store.open(cell.to_json(), {}, {}).close()
    finally:
        for child in asking:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_a_lock_is_waited_for_that_somebody_only_asks_about(
    store: Store, cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.open(cell.to_json(), {}, {}).close()
    monkeypatch.setattr("pflbench.results.locking.PATIENCE", 60.0)
    with (store.root / ".locks" / f"{cell.id}.lock").open("rb") as asked:
        fcntl.flock(asked, fcntl.LOCK_SH)
        threading.Timer(0.05, fcntl.flock, (asked, fcntl.LOCK_UN)).start()
        store.open(cell.to_json(), {}, {}).close()


def test_who_is_busy_and_what_is_complete_can_be_sent_elsewhere(store: Store, cell: Cell) -> None:
    """Executors run cells in other processes, whose errors are pickled on their way back."""
    with store.open(cell.to_json(), {}, {}) as writer:
        with pytest.raises(RunBusyError) as busy:
            store.open(cell.to_json(), {}, {})
        assert busy.value.holder == store.held(cell.id) == f"process {os.getpid()} on {node()}"
        writer.complete({}, {})
    with pytest.raises(RunCompleteError) as complete:
        store.open(cell.to_json(), {}, {})
    for error in (busy.value, complete.value):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


@pytest.mark.filterwarnings("ignore:flock not supported")
def test_where_files_cannot_be_locked_nothing_is_run(
    root: Path, cells: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:  # as on Lustre without the mount option
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    store = Store(root, create=True)
    monkeypatch.setattr(fcntl, "flock", missing)
    for _ in range(2):  # no lock of another kind is left, which would outlive its process
        with pytest.raises(WorkError, match="cannot lock files"):
            store.open(cells[0].to_json(), {}, {})
    assert store.runs() == []
