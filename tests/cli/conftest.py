"""Fixtures of the command line's tests: a small federation on disk, and ways to call pflbench."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from pflbench.cli.main import main

Call = Callable[..., Result]
Process = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty working directory, apart from the user's settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("PFLBENCH_DATA", "PFLBENCH_RESULTS", "PFLBENCH_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def data(folder: Path) -> str:
    """Return a data set of 240 samples in three classes that a network can learn."""
    rng = np.random.default_rng(0)
    y = np.arange(240) % 3
    x = (rng.normal(size=(240, 6)) + 2 * np.eye(6)[y]).astype(np.float32)
    np.savez(folder / "points.npz", x=x, y=y)
    return "npz:points.npz"


@pytest.fixture
def pflbench(folder: Path) -> Call:
    """Return a function that calls the command line in this process."""

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(main, list(arguments))

    return call


@pytest.fixture
def process(folder: Path) -> Process:
    """Return a function that calls the command line in a process of its own."""

    def call(
        *arguments: str, path: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        search = [str(path)] if path else []
        inherited = os.environ.get("PYTHONPATH")
        search += [inherited] if inherited else []
        return subprocess.run(
            [sys.executable, "-m", "pflbench", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(search), **environment},
        )

    return call


def files(folder: Path) -> list[str]:
    """Return all files below a folder, by their paths."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


SMALL = ("--clients", "3", "--rounds", "4", "--eval-every", "2", "--device", "cpu")
"""A scenario that takes a moment."""
