"""What tests of the command line call it with, and what they call."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

Call = Callable[..., Result]
Process = Callable[..., "subprocess.CompletedProcess[str]"]


def files(folder: Path) -> list[str]:
    """Return all files below a folder, by their paths."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


SMALL = ("--clients", "3", "--rounds", "4", "--eval-every", "2", "--device", "cpu")
"""A scenario that takes a moment."""
