"""What tests of executors look at: the processes of a session, and the cells that they run."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
from other_processes import PATIENCE

from pflbench.results import StoredRun

Start = Callable[..., "subprocess.Popen[str]"]

TIMED = r"_seconds$|^peak_memory_bytes$"
"""Columns of `rounds` that tell of the machine."""


def of_session(leader: int) -> list[psutil.Process]:
    """Return the processes of a session that live."""
    found = []
    for process in psutil.process_iter(["pid", "status"]):
        with suppress(psutil.Error, ProcessLookupError):
            alive = process.info["status"] != psutil.STATUS_ZOMBIE
            if alive and os.getsid(process.pid) == leader:
                found.append(process)
    return found


def wait_until(true: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Wait until something is so; say whether it came to be."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.02)
    return true()


def holders(folder: Path) -> list[Path]:
    """Return the notes of who runs which cell now."""
    return sorted(folder.glob("results/.locks/*.holder"))


def assert_same(one: StoredRun, other: StoredRun) -> None:
    """Check that two runs have the same numbers, bit for bit."""
    for name in ("metrics", "messages", "rounds"):
        pd.testing.assert_frame_equal(*untimed(name, one, other), check_exact=True)


def untimed(name: str, *runs: StoredRun) -> Iterator[pd.DataFrame]:
    """Yield a table of each run, less what tells of the machine."""
    for run in runs:
        table = run.table(name)
        yield table.drop(columns=table.filter(regex=TIMED).columns)
