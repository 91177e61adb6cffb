"""Ways to call pflbench."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from calling import Call, Process
from click.testing import CliRunner, Result

from pflbench.cli.main import main


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
