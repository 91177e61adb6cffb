"""A run in a results folder."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from pflbench.errors import DamagedError, InputError
from pflbench.results.checkpoint import reached
from pflbench.results.files import read_arrow, read_json, to_frame
from pflbench.schema.scenario import SCHEMA, Cell, digest

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Status = Literal["complete", "failed", "unfinished", "damaged"]

RUN, ENVIRONMENT = "run.json", "environment.json"
SUMMARY, FAILURE = "summary.json", "failure.json"
CHECKPOINT = "checkpoint"
MODELS = "models.safetensors"
PREDICTIONS = "predictions.safetensors"
MODELS_OF = "models-{}.safetensors"
"""The personal models of a round, of a run that keeps several."""
SEAL = "sha256"
"""Key of a summary's file: digests of the run's other files, and of the summary itself."""

NO_COMPUTATION = ("WorkerDied", "PeerFailedError", "MemoryError")
"""Errors of failed runs that are a machine's: no computation repeats them."""

_RUN_ID = re.compile(r"[0-9a-f]{12}")
_MODELS = re.compile(r"models(-[0-9]+)?\.safetensors")
_TABLE = re.compile(r"[a-z][a-z0-9_]*")


def is_run_id(text: str) -> bool:
    """Whether a text has the form of a run id: 12 lower-case hex digits."""
    return _RUN_ID.fullmatch(text) is not None


def table_file(name: str) -> str:
    """Return the file name of a table.

    Raises
    ------
    InputError
        The name is not lower-case letters, digits and underscores.
    """
    if not _TABLE.fullmatch(name):
        raise InputError(f"{name!r} is not a table's name: expected one such as 'metrics'.")
    return f"{name}.parquet"


@dataclass(frozen=True)
class StoredRun:
    """One run of a results folder, of any status.

    Attributes
    ----------
    id
        The run id, which is also the folder's name.
    folder
        Where its files are.
    cell
        Everything that decides its numbers, as `Cell.to_json` wrote it.
    labels
        Entries that do not: the data set as written, the command that repeats the run.
    status
        "complete", "failed" (stored with its reason), "unfinished" (killed, or running) or
        "damaged" (changed, or inconsistent).
    summary
        The headline numbers of a complete run, else empty.
    failure
        Why and where a failed run failed, else empty.
    damage
        The error of a damaged run, else None. Its cell is empty if it is lost.
    seal
        SHA-256 of the files of a complete run, by name, and of its summary, by "summary"; empty
        in runs of earlier versions.
    """

    id: str
    folder: Path
    cell: Mapping[str, Any] = field(repr=False)
    labels: Mapping[str, Any] = field(repr=False)
    status: Status
    summary: Mapping[str, Any] = field(repr=False)
    failure: Mapping[str, Any] = field(repr=False)
    damage: DamagedError | None = field(default=None, repr=False, compare=False)
    seal: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def damage_in_short(self) -> str:
        """The reason of a damaged run, without its folder; else ""."""
        if self.damage is None:
            return ""
        return self.damage.said.replace(f"{self.folder}{os.sep}", "").replace(
            str(self.folder), "it"
        )

    def check(self) -> None:
        """Refuse a damaged run.

        Raises
        ------
        DamagedError
            It is one.
        """
        if self.damage is not None:
            raise self.damage

    @property
    def environment(self) -> dict[str, Any]:
        """The machine, versions, device and time of the run, read on first use."""
        return read_json(self.folder / ENVIRONMENT)

    @property
    def typed_cell(self) -> Cell:
        """The cell as a record."""
        return msgspec.convert(self.cell, Cell)

    @property
    def reached(self) -> int:
        """The round after which an unfinished run resumes, by its checkpoint."""
        return reached(self.folder / CHECKPOINT)

    @property
    def has_models(self) -> bool:
        """Whether the run has kept the personal models."""
        return bool(model_files(self.folder))

    def has_table(self, name: str) -> bool:
        """Whether the run has a table of that name."""
        return (self.folder / table_file(name)).is_file()

    def table(self, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return a table ("metrics", "rounds", "messages", "partition") as a tidy data frame.

        Parameters
        ----------
        name
            The table.
        columns
            The columns to read; default: all.

        Raises
        ------
        InputError
            The run has no such table (yet), or its file is damaged.
        """
        return to_frame(self.folder / table_file(name), self.arrow(name, columns))

    def arrow(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Return a table as `table` does, as Arrow columns: cheaper where many runs are read."""
        path = self.folder / table_file(name)
        if not path.exists():
            there = ", ".join(sorted(f.stem for f in self.folder.glob("[!.]*.parquet"))) or "none"
            raise InputError(
                f"Run {self.id} ({self.status}) has no table {name!r}. It has: {there}."
            )
        return read_arrow(path, None if columns is None else list(columns))


def model_files(folder: Path) -> list[str]:
    """Return the names of the files with personal models in a run's folder."""
    return sorted(e.name for e in os.scandir(folder) if _MODELS.fullmatch(e.name))


def load(folder: Path) -> StoredRun:
    """Read a run's folder, without its tables.

    A run whose files cannot be read, or whose id does not match its folder, is "damaged".

    Raises
    ------
    InputError
        It was written by another version.
    """
    cell: Mapping[str, Any] = {}
    labels: Mapping[str, Any] = {}
    try:
        cell, labels = _identity(folder)
        summary = _optional(folder / SUMMARY)
        failure = _optional(folder / FAILURE) if summary is None else None
        seal = {} if summary is None else summary.pop(SEAL, {})
        if not isinstance(seal, dict):
            path = folder / SUMMARY
            raise DamagedError(path, f"{path} is damaged: its {SEAL!r} is no object")
    except DamagedError as error:
        return _damaged(folder, cell, labels, error)
    status: Status = (
        "complete" if summary is not None else "failed" if failure is not None else "unfinished"
    )
    return StoredRun(
        folder.name, folder, cell, labels, status, summary or {}, failure or {}, seal=seal
    )


def damaged(run: StoredRun, error: DamagedError) -> StoredRun:
    """Return a run with a damage that was found later."""
    return _damaged(run.folder, run.cell, run.labels, error)


def unreadable(folder: Path, error: OSError | DamagedError) -> StoredRun:
    """Return a run whose folder cannot be read at all."""
    if isinstance(error, OSError):
        said = f"{folder} cannot be read: {error.strerror or error}"
        error = DamagedError(folder, said, again=False)
    return _damaged(folder, {}, {}, error)


def _damaged(
    folder: Path, cell: Mapping[str, Any], labels: Mapping[str, Any], error: DamagedError
) -> StoredRun:
    error.run_id = folder.name
    return StoredRun(folder.name, folder, cell, labels, "damaged", {}, {}, error)


def _identity(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a run's cell and labels; the cell is the one that the folder is named for."""
    path = folder / RUN
    content = read_json(path)
    cell, labels = content.get("cell"), content.get("labels")
    if not isinstance(cell, dict) or not isinstance(labels, dict):
        raise DamagedError(path, f"{path} is damaged: expected an object with 'cell' and 'labels'")
    try:
        actual = digest(cell)
    except ValueError as error:
        raise DamagedError(path, f"{path} is damaged: {error}") from error
    if actual != folder.name:
        raise DamagedError(
            path, f"{path} is damaged: it describes run {actual}, but its folder says {folder.name}"
        )
    if cell.get("schema") != SCHEMA:
        raise InputError(
            f"{path} was written by another version of pflbench: its schema is "
            f"{cell.get('schema')!r}, this version reads {SCHEMA}."
        )
    try:
        msgspec.convert(cell, Cell)
    except (ValueError, msgspec.ValidationError) as error:
        raise DamagedError(path, f"{path} is damaged: {error}") from error
    return cell, labels


def _optional(path: Path) -> dict[str, Any] | None:
    try:
        return read_json(path)
    except DamagedError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
