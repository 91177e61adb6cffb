"""Commands in processes and sessions of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sessions import Start, of_session


@pytest.fixture
def start_code(folder: Path) -> Iterator[Start]:
    """Return a function that starts Python in a session of its own."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        made = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            # A process that a shell put in the background ignores SIGINT, and its children do.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started.append(made)
        return made

    yield begin
    for process in started:
        for left in of_session(process.pid):
            left.kill()
        process.communicate()


@pytest.fixture
def start(start_code: Start) -> Start:
    """Return a function that starts `pflbench` in a session of its own."""
    return lambda *arguments: start_code("-m", "pflbench", *arguments)
