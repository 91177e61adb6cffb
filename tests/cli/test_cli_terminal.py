"""What a terminal of 80 columns shows: every number in full."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from calling import Call

from pflbench.results import Store

RUN = (
    "run",
    "--dataset",
    "npz:points.npz",
    "--clients",
    "6",
    "--rounds",
    "2",
    "--device",
    "cpu",
    "--partition",
    "iid",
    "--algo",
    "local,fedavg",
    "--population",
    "permuted-labels",
    "--new-clients",
    "0.34",
)


def on_a_terminal(
    folder: Path, *arguments: str, progress: bool = False, **surroundings: str
) -> str:
    """Return what a command writes on a terminal of 80 columns, with its progress if asked for."""
    ours, theirs = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-m", "pflbench", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs if progress else subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": "80", "TERM": "dumb", **surroundings},
    )
    os.close(theirs)
    parts = []
    try:
        while part := os.read(ours, 65_536):
            parts.append(part)
    except OSError:  # Linux's way to say that nobody writes any more
        pass
    os.close(ours)
    assert done.wait() == 0
    return b"".join(parts).decode()


@pytest.mark.slow
@pytest.mark.parametrize("display", ["transfer", "onboarding", "cost"])
def test_no_number_is_cut_off(
    display: str, one_thread: None, pflbench: Call, folder: Path, data: str
) -> None:
    assert pflbench(*RUN).exit_code == 0
    runs = {run.cell["algorithm"]["name"]: run for run in Store(folder / "results").runs()}
    shown = on_a_terminal(folder, "show", display, runs["fedavg"].id)
    accuracy = runs["fedavg"].summary["test_accuracy"]
    assert f"{accuracy:.2%}" in shown
    assert "…" not in shown
    if display == "transfer":
        assert "nates" in shown


@pytest.mark.slow
@pytest.mark.parametrize("terminal", ["dumb", "xterm"])
def test_a_poor_and_narrow_terminal_shows_progress_and_board(
    terminal: str, one_thread: None, folder: Path, data: str
) -> None:
    poor = {"COLUMNS": "60", "TERM": terminal, "PYTHONIOENCODING": "ascii"}
    few = (
        "run",
        "--algo",
        "local",
        "--dataset",
        "npz:points.npz",
        "--clients",
        "3",
        "--rounds",
        "2",
    )
    shown = on_a_terminal(folder, *few, progress=True, **poor)
    assert shown.isascii()
    assert "test accuracy" in shown
    assert "itself failed" not in shown
