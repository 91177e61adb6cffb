"""Optuna's journal of a study: the file is checked before Optuna reads it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pflbench.errors import DamagedError, PflbenchError
from pflbench.results.files import read_bytes
from pflbench.schema.error_text import one_line


def mend(journal: Path) -> None:
    """Undo leftovers of a search that was stopped during a write: half a line, or the lock.

    Raises
    ------
    DamagedError
        It is no plain file, or one of its lines is no entry of a journal.
    """
    for left in journal.parent.glob(
        f"{journal.name}.lock*"
    ):  # we hold our own lock, so no process holds this one
        left.unlink()
    if not os.path.lexists(journal):
        return
    content = read_bytes(journal)
    if not content.endswith(b"\n"):
        whole = content.rfind(b"\n") + 1
        os.truncate(journal, whole)
        content = content[:whole]
    for number, line in enumerate(content.splitlines(), start=1):
        if not _is_entry(line):
            raise damaged(journal, f"line {number} is no entry of a journal")


@contextmanager
def trusting(journal: Path) -> Iterator[None]:
    """Turn Optuna's errors on an inconsistent journal into a `DamagedError`."""
    try:
        yield
    except (PflbenchError, OSError):
        raise
    except (
        Exception
    ) as error:  # KeyError, AssertionError, TypeError, ...: Optuna does not check the file
        what = one_line(f"{type(error).__name__}: {error}").rstrip(".: ")
        raise damaged(journal, f"Optuna cannot follow it ({what})") from error


def damaged(journal: Path, why: str) -> DamagedError:
    """Return the error of a journal, with the way out."""
    return DamagedError(
        journal,
        f"{journal} is damaged: {why}. Remove it and give the command again: the trials are "
        "restored from their runs",
    )


def _is_entry(line: bytes) -> bool:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        return False
    return isinstance(entry, dict) and type(entry.get("op_code")) is int
