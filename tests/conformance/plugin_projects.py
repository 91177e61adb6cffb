"""Plugins that are distributions of their own, found by a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path


def run(*command: str, site: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def install(project: Path) -> Path:
    """Make a site folder in which the project's package and entry points are found.

    That is what `pip install -e` does, without its download of the build backend.
    """
    described = tomllib.loads((project / "pyproject.toml").read_text())
    meta = project / "src" / f"{described['project']['name'].replace('-', '_')}-0.1.0.dist-info"
    meta.mkdir()
    name = described["project"]["name"]
    (meta / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    points = described["project"]["entry-points"]["pflbench"]
    lines = [f"{point} = {module}" for point, module in points.items()]
    (meta / "entry_points.txt").write_text("\n".join(["[pflbench]", *lines, ""]))
    return project / "src"


def passed(output: str) -> int:
    """Return how many tests pytest says have passed."""
    return int(output.rsplit(" passed", 1)[0].split()[-1])
