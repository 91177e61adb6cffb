"""Preparing a run's folder: for a new run, or for one that resumes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pflbench.errors import DamagedError
from pflbench.results.files import (
    read_json,
    remove_temporaries,
    sync_folder,
    temporary_name,
    write_json,
    writing,
)
from pflbench.results.stored import CHECKPOINT, ENVIRONMENT, FAILURE, RUN, StoredRun


def start(folder: Path, run: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
    """Make a run's folder: whole under another name, then put in place of an existing one."""
    new, old = temporary_name(folder), temporary_name(folder)
    with writing(folder):
        try:
            new.mkdir()
            write_json(new / RUN, run)
            write_json(new / ENVIRONMENT, environment)
            if os.path.lexists(folder):
                folder.replace(old)
            new.replace(folder)
            sync_folder(folder.parent)
        except BaseException:
            if os.path.lexists(old) and not os.path.lexists(folder):
                old.rename(folder)
            shutil.rmtree(new, ignore_errors=True)
            raise
    remove_temporaries(folder.parent, folder.name)  # the replaced folder


def reopen(run: StoredRun, environment: Mapping[str, Any]) -> None:
    """Prepare an unfinished or failed run to resume."""
    path = run.folder / ENVIRONMENT
    with suppress(DamagedError):  # of an attempt that did not end: it is no reason to lose the rest
        before = read_json(path)
        told = before.pop("earlier", [])
        environment = {
            **environment,
            "earlier": [*(told if isinstance(told, list) else []), before],
        }
    remove_temporaries(run.folder)
    kept = run.folder / CHECKPOINT
    if kept.is_symlink() or (
        kept.exists() and not kept.is_dir()
    ):  # the target of a link is not ours
        with writing(kept):
            kept.unlink()
    if kept.is_dir():
        remove_temporaries(kept)
    write_json(path, environment)
    if run.status == "failed":
        with writing(run.folder / FAILURE):
            (run.folder / FAILURE).unlink()
    with writing(run.folder):
        for table in run.folder.glob("[!.]*.parquet"):  # as far as an earlier attempt came
            table.unlink()
