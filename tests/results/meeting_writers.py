"""What processes do that meet in one results folder, and are killed there."""

from __future__ import annotations

import fcntl
import os
import random
import signal
from pathlib import Path

import pandas as pd
import torch

from pflbench.results import RunBusyError, RunCompleteError, RunWriter, Store
from pflbench.schema.scenario import Cell

ROUNDS = 6


def table_of(cell: Cell, rounds: int) -> pd.DataFrame:
    """Return what a run of so many rounds has to say, each time the same."""
    numbers = random.Random(cell.id)
    return pd.DataFrame({"round": range(rounds), "x": [numbers.random() for _ in range(rounds)]})


def play(writer: RunWriter, cell: Cell) -> None:
    """Go on with a run where it stopped, write its checkpoints, and end it."""
    back = writer.restore()
    done = back.round if back else 0
    if back:
        expected = table_of(cell, done)
        pd.testing.assert_frame_equal(back.tables["rounds"], expected, check_exact=True)
        assert back.tensors["state"].tolist() == [float(done)] * 64
    while done < ROUNDS - 1:
        done += 1
        state = {"state": torch.full((64,), float(done))}
        writer.checkpoint(done, state, {"rounds": table_of(cell, done)}, {"done": done})
    writer.complete({"rounds": table_of(cell, ROUNDS)}, {"rounds": ROUNDS})


class Journal:
    """One log of all processes: lines are whole, and in the order in which they were written."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def __call__(self, act: str, run_id: str) -> None:
        os.write(self._file, f"{act} {run_id} {os.getpid()}\n".encode())


def work(root: Path, cells: list[Cell], seed: int, kills: bool, journal: Path) -> None:
    """Open runs in a random order until all are complete; with `kills`, be killed on the way.

    Also looks at what is there, and asks who runs what, which must disturb nobody.
    """
    os.fsync = lambda descriptor: None  # slow; what a killed process wrote is there all the same
    rng, note = random.Random(seed), Journal(journal)
    left = {cell.id: cell for cell in cells}
    while left:
        cell = left[rng.choice(sorted(left))]
        store = Store(root, create=True)
        store.held(cell.id)
        for run in store.runs():
            if run.status == "complete":
                pd.testing.assert_frame_equal(run.table("rounds"), table_of(run.typed_cell, ROUNDS))
        # Another lock than the run's, which shows whether that one works. Opened first, it goes
        # first when the process dies.
        alone = os.open(journal.with_name(cell.id), os.O_RDWR | os.O_CREAT)
        if kills and rng.random() < 0.8:
            kill_soon(rng)
        try:
            with store.open(cell.to_json(), {}, {"pid": os.getpid()}) as writer:
                note("opened", cell.id)
                fcntl.lockf(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
                play(writer, cell)
                note("completed", cell.id)
                fcntl.lockf(alone, fcntl.LOCK_UN)
            del left[cell.id]
        except RunBusyError:
            note("busy", cell.id)
        except RunCompleteError:
            note("there", cell.id)
            del left[cell.id]
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.close(alone)


def kill_soon(rng: random.Random) -> None:
    """Have the system kill this process shortly, whatever it does then."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # its default is to die of it, at once
    signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.0005, 0.05))


def change(root: Path, cell: Cell, journal: Path) -> None:
    """Complete, replace, fail, take up and remove a run, round and round, until killed."""
    os.fsync = lambda descriptor: None
    store, note = Store(root, create=True), Journal(journal)
    table = table_of(cell, ROUNDS)
    while True:
        with store.open(cell.to_json(), {}, {}) as writer:
            writer.complete({"rounds": table}, {"rounds": ROUNDS})
        with store.open(cell.to_json(), {}, {}, replace=True) as writer:
            writer.fail({"rounds": table}, {"error": "DivergedError"})
        store.open(cell.to_json(), {}, {}).close()
        store.reset(cell.id)
        note("changed", cell.id)
