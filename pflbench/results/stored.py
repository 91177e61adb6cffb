"""A run as it lies in a results folder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from pflbench.errors import InputError
from pflbench.results.checkpoint import reached
from pflbench.results.files import read_arrow, read_json
from pflbench.scenario import SCHEMA, Cell, digest

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Status = Literal["complete", "failed", "unfinished"]

RUN, ENVIRONMENT = "run.json", "environment.json"
SUMMARY, FAILURE = "summary.json", "failure.json"
CHECKPOINT = "checkpoint"

NO_COMPUTATION = ("WorkerDied", "PeerFailedError", "MemoryError")
"""Errors of failed runs that are a machine's: no computation repeats them."""

_RUN_ID = re.compile(r"[0-9a-f]{12}")
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
    """One run of a results folder, whatever became of it.

    Attributes
    ----------
    id
        The run id, which is also the folder's name.
    folder
        Where its files are.
    cell
        What decides its numbers, as `Cell.to_json` wrote it.
    labels
        What does not: the data set as written, the command that repeats the run.
    status
        "complete", "failed" (kept with its reason) or "unfinished" (killed, or being run).
    summary
        The headline numbers of a complete run, else empty.
    failure
        Why and where a failed run failed, else empty.
    """

    id: str
    folder: Path
    cell: Mapping[str, Any] = field(repr=False)
    labels: Mapping[str, Any] = field(repr=False)
    status: Status
    summary: Mapping[str, Any] = field(repr=False)
    failure: Mapping[str, Any] = field(repr=False)

    @property
    def environment(self) -> dict[str, Any]:
        """The machine, versions, device and time of the run, read when asked for."""
        return read_json(self.folder / ENVIRONMENT)

    @property
    def typed_cell(self) -> Cell:
        """The cell as a record."""
        return msgspec.convert(self.cell, Cell)

    @property
    def reached(self) -> int:
        """The round that an unfinished run goes on after, as far as its checkpoint says."""
        return reached(self.folder / CHECKPOINT)

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
            Those to read; all if not given.

        Raises
        ------
        InputError
            The run has no such table (yet), or its file is damaged.
        """
        frame: pd.DataFrame = self.arrow(name, columns).to_pandas()
        return frame

    def arrow(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Return a table as `table` does, as Arrow columns: cheaper where many runs are read."""
        path = self.folder / table_file(name)
        if not path.exists():
            there = ", ".join(sorted(f.stem for f in self.folder.glob("[!.]*.parquet"))) or "none"
            raise InputError(
                f"Run {self.id} ({self.status}) has no table {name!r}. It has: {there}."
            )
        return read_arrow(path, None if columns is None else list(columns))


def load(folder: Path) -> StoredRun:
    """Read a run's folder and check that it holds the run that its name says.

    Raises
    ------
    InputError
        A file is damaged, of another version, or belongs to another run; the message names it.
    """
    path = folder / RUN
    content = read_json(path)
    cell, labels = content.get("cell"), content.get("labels")
    if not isinstance(cell, dict) or not isinstance(labels, dict):
        raise InputError(f"{path} is damaged: expected an object with 'cell' and 'labels'.")
    if cell.get("schema") != SCHEMA:
        raise InputError(
            f"{path} was written by another version of pflbench: its schema is "
            f"{cell.get('schema')!r}, this version reads {SCHEMA}."
        )
    try:
        actual = digest(cell)
        msgspec.convert(cell, Cell)
    except (ValueError, msgspec.ValidationError) as error:
        raise InputError(f"{path} is damaged: {error}.") from error
    if actual != folder.name:
        raise InputError(
            f"{path} is damaged: it describes run {actual}, but its folder says {folder.name}."
        )
    summary = _optional(folder / SUMMARY)
    failure = _optional(folder / FAILURE) if summary is None else None
    status: Status = (
        "complete" if summary is not None else "failed" if failure is not None else "unfinished"
    )
    return StoredRun(actual, folder, cell, labels, status, summary or {}, failure or {})


def _optional(path: Path) -> dict[str, Any] | None:
    try:
        return read_json(path)
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
