"""The seal of a complete run: digests of its files, which reveal any later change."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pflbench.errors import DamagedError
from pflbench.results.files import as_json, reading
from pflbench.results.stored import ENVIRONMENT, PREDICTIONS, RUN, SUMMARY, StoredRun, model_files
from pflbench.schema.scenario import digest


def sealed(folder: Path, summary: Mapping[str, Any]) -> dict[str, str]:
    """Return the seal of a run whose files are written, except its summary.

    Parameters
    ----------
    folder
        The run's.
    summary
        Its future summary.

    Returns
    -------
    dict
        SHA-256 by file name; of the summary, the first digits of that of its canonical JSON.
    """
    files = {name: _digest(folder / name) for name in _sealed_names(folder)}
    return {**files, SUMMARY: digest(as_json(summary))}


def check_seal(run: StoredRun) -> None:
    """Refuse a run that was changed.

    Raises
    ------
    DamagedError
        A file is missing, differs, or does not belong to the run.
    """
    path = run.folder / SUMMARY
    if run.seal.get(SUMMARY) != digest(run.summary):
        raise DamagedError(path, f"{path} is damaged: it is not as it was written")
    names = set(_sealed_names(run.folder))
    for name in sorted(names | (run.seal.keys() - {SUMMARY})):
        path = run.folder / name
        if name not in run.seal:
            raise DamagedError(path, f"{path} is not of the run: it was not there when it ended")
        if name not in names:
            raise DamagedError(path, f"{path} is missing")
        if _digest(path) != run.seal[name]:
            raise DamagedError(path, f"{path} is damaged: it is not as it was written")


def _sealed_names(folder: Path) -> list[str]:
    there = (entry.name for entry in os.scandir(folder))
    fixed = (RUN, ENVIRONMENT, PREDICTIONS, *model_files(folder))
    return sorted(n for n in there if n in fixed or (n.endswith(".parquet") and n[0] != "."))


def _digest(path: Path) -> str:
    with reading(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
