"""The results folder: a marker file and a folder a run."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pflbench.errors import DamagedError, InputError, Notice, UnknownNameError, WorkError
from pflbench.results.examining import examined
from pflbench.results.files import (
    check_folder,
    pinned,
    read_json,
    remove_folder,
    remove_temporaries,
    temporary_name,
    write_json,
    writing,
)
from pflbench.results.locking import RunLock, holder, locked, note_path
from pflbench.results.opening import reopen, start
from pflbench.results.run_lookup import the_one
from pflbench.results.stored import CHECKPOINT, SUMMARY, StoredRun, is_run_id, load, unreadable
from pflbench.results.writer import RunWriter
from pflbench.schema.paths import path_of
from pflbench.schema.scenario import digest

MARKER, LOCKS = "pflbench.json", ".locks"
_FORMAT = {"format": "pflbench results", "version": 1}


class DamagedRunWarning(Notice):
    """A run is so damaged that its cell is lost."""


class RunCompleteError(WorkError):
    """A run to be resumed turned out to be complete once its lock was held."""

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id

    def __str__(self) -> str:
        """Return one sentence for users."""
        return f"Run {self.run_id} is complete already."


class Store:
    """A results folder.

    Making a `Store` writes nothing: a missing folder is made when the first run is opened.

    Parameters
    ----------
    root
        The folder.
    create
        Whether runs will be written: then the folder may be missing or empty, and must be
        writable.
    missing_ok
        Whether runs may be written: the folder may be missing or empty, and whether it can be
        written is found when the first run is opened.

    Raises
    ------
    InputError
        It is not a results folder, or a damaged one, or it cannot be read or written.
    """

    def __init__(self, root: Path | str, *, create: bool = False, missing_ok: bool = False) -> None:
        self.root = path_of(root, "results")
        self._may_make = create or missing_ok
        self._check()
        if create:
            self.check_writable()

    @property
    def _runs(self) -> Path:
        return self.root / "runs"

    @property
    def _locks(self) -> Path:
        return self.root / LOCKS

    def get(self, run_id: str, *, examine: bool = True) -> StoredRun | None:
        """Return a run, or None if no run has this id.

        A run whose files are damaged has the status "damaged"; its cell is empty if it is lost.

        Parameters
        ----------
        run_id
            The run's.
        examine
            Whether its tables are checked, too: not if the caller looks for differences.

        Raises
        ------
        InputError
            The text is not a run id, or the run was written by another version.
        """
        return self._load(self._folder(run_id), examine=examine)

    def ids(self) -> list[str]:
        """Return the ids of all runs, damaged ones included, in their order.

        Raises
        ------
        InputError
            The folder cannot be read.
        """
        if not self._runs.exists():
            return []
        try:
            names = sorted(entry.name for entry in self._runs.iterdir())
        except OSError as error:
            raise InputError(f"{self._runs} cannot be read: {error.strerror}.") from error
        return [name for name in names if is_run_id(name)]

    def named(self, start: str, *, examine: bool = True) -> StoredRun:
        """Return the one run whose id begins with these digits, of any status.

        Raises
        ------
        InputError
            No run or several runs match, or the run's cell is lost.
        """
        run = self.get(the_one(start, self.ids(), "run"), examine=examine)
        if run is None:
            raise UnknownNameError("run", start, self.ids())
        if not run.cell:
            run.check()
        return run

    def runs(self) -> list[StoredRun]:
        """Return all runs, of any status, ordered by id.

        Warns
        -----
        DamagedRunWarning
            A run's cell is lost, so the run is left out.

        Raises
        ------
        InputError
            The folder cannot be read, or a run was written by another version.
        """
        runs = []
        for run in map(self._load, (self._runs / run_id for run_id in self.ids())):
            if run is None:
                continue
            if run.cell:
                runs.append(run)
            else:
                warnings.warn(f"{run.damage}", DamagedRunWarning, 2)
        return runs

    @staticmethod
    def _load(folder: Path, *, examine: bool = True) -> StoredRun | None:
        """Load a run that another process may be removing or replacing just now."""
        while True:
            try:
                check_folder(folder)
                with pinned(folder) as same:
                    try:
                        run = examined(load(folder)) if examine else load(folder)
                    except InputError:
                        if same():
                            raise
                    else:
                        if run.status != "damaged" or same():
                            return run
            except FileNotFoundError:
                return None
            except (OSError, DamagedError) as error:
                return unreadable(folder, error)

    def open(
        self,
        cell_json: Mapping[str, Any],
        labels: Mapping[str, Any],
        environment: Mapping[str, Any],
        *,
        replace: bool = False,
    ) -> RunWriter:
        """Take a run's lock and make its folder ready.

        An unfinished run keeps its checkpoint; a failed or damaged one starts afresh. The
        environment of earlier attempts is kept under "earlier".

        Parameters
        ----------
        cell_json
            `Cell.to_json()` of the run.
        labels
            Names of the run for users: "dataset" as written, "command" that repeats it.
        environment
            Machine, versions, device, engine, start.
        replace
            Replace an existing run once its new folder is complete.

        Raises
        ------
        RunBusyError
            Another process is running it.
        RunCompleteError
            It is complete already, and `replace` is false.
        WorkError
            The disk is full, for example: finished files are unchanged.
        InputError
            The existing run cannot be read here, or was written by another version.
        """
        run_id = digest(cell_json)
        folder = self._folder(run_id)
        if self._may_make:
            self.make()
        else:
            self._check()  # it may be gone, and is not made again
        lock = RunLock(self._locks, run_id)
        try:
            # Files of killed processes; no other process writes next to this run now.
            remove_temporaries(self._runs, run_id)
            run = {"cell": cell_json, "labels": labels}
            there = None if replace else self._load(folder)
            if there is not None and there.damage is not None and not there.damage.again:
                raise there.damage
            if there is None or there.status == "damaged":
                start(folder, run, environment)
            elif there.status == "complete":
                raise RunCompleteError(run_id)
            else:
                reopen(there, environment)
        except BaseException:
            lock.release()
            raise
        return RunWriter(folder, lock)

    def held(self, run_id: str) -> str | None:
        """Return the process that is running a run now ("process 12 on host"), or None.

        Nothing is written, and a process that is just starting the run is not blocked.

        Raises
        ------
        InputError
            The text is not a run id.
        """
        return holder(self._locks, self._folder(run_id).name)

    def tidy(self, run: StoredRun) -> None:
        """Remove the leftovers of a process that was killed right after it completed a run.

        These are its checkpoint, and the note with its process.
        """
        left = (run.folder / CHECKPOINT, note_path(self._locks, run.id))
        if run.status != "complete" or not any(path.exists() for path in left):
            return
        with suppress(WorkError):  # harmless if they cannot be removed
            lock = RunLock(self._locks, run.id)
            try:
                if (run.folder / SUMMARY).exists():  # still complete, not replaced meanwhile
                    shutil.rmtree(run.folder / CHECKPOINT, ignore_errors=True)
            finally:
                lock.release()

    def reset(self, run_id: str) -> None:
        """Remove a run, if it exists; see `open(replace=True)` for one that is run again.

        Raises
        ------
        RunBusyError
            A process is running it.
        WorkError
            It cannot be removed.
        """
        folder = self._folder(run_id)
        if not os.path.lexists(folder):
            return
        lock = RunLock(self._locks, run_id)
        try:
            remove_folder(folder)
        finally:
            lock.release()

    def adopt(self, run: StoredRun) -> bool:
        """Copy a complete run of another folder into this one, unless it is complete here.

        A run of the same id that is unfinished, failed or damaged here is replaced.

        Returns
        -------
        Whether it was copied.

        Raises
        ------
        RunBusyError
            A process is running it here.
        InputError, WorkError
            The folder cannot be written.
        """
        self.make()
        folder = self._folder(run.id)
        lock = RunLock(self._locks, run.id)
        try:
            there = self._load(folder)
            if there is not None and there.status == "complete":
                return False
            remove_temporaries(self._runs, run.id)
            copy = temporary_name(folder)
            with writing(folder):
                shutil.copytree(run.folder, copy)
                if there is not None:
                    remove_folder(folder)
                copy.rename(folder)
            return True
        finally:
            lock.release()

    def _folder(self, run_id: str) -> Path:
        if not is_run_id(run_id):
            raise InputError(f"{run_id!r} is not a run id: expected 12 digits of 0-9 and a-f.")
        return self._runs / run_id

    def _check(self) -> None:
        root, marker = self.root, self.root / MARKER
        try:
            if not root.exists():
                if not self._may_make:
                    raise InputError(f"There is no results folder {root}.")
                return
            if not root.is_dir():
                raise InputError(f"{root} is a file: expected a results folder.")
            if not os.access(root, os.R_OK | os.X_OK):
                raise InputError(f"The results folder {root} cannot be read.")
            # Another process may be making the folder: the marker is its first file.
            vacant = not marker.exists() and self._may_make and self._vacant()
            if marker.exists():
                self._check_marker(marker)
            elif not vacant:
                raise InputError(
                    f"{root} is not a results folder: it has no {MARKER}. "
                    "Name one that pflbench made, or a new or empty folder to write to."
                )
            if self._runs.exists() and not self._runs.is_dir():
                raise InputError(f"The results folder is damaged: {self._runs} is not a folder.")
        except OSError as error:
            raise InputError(f"{root} cannot be read: {error.strerror or error}.") from error

    def check_writable(self) -> None:
        """Refuse a folder in which no run can be written.

        Raises
        ------
        InputError
            It cannot be written, or it is not there and cannot be made.
        """
        if self.root.exists():
            for folder in (self.root, self._runs):
                if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
                    raise InputError(f"The results folder {folder} cannot be written.")
            return
        parent = next(p for p in self.root.absolute().parents if p.exists())
        if not parent.is_dir():
            raise InputError(f"{self.root} cannot be made: {parent} is a file.")
        if not os.access(parent, os.W_OK | os.X_OK):
            raise InputError(f"{self.root} cannot be made: {parent} cannot be written.")

    def _vacant(self) -> bool:
        """Whether the folder has only leftovers of a process that was killed while making it."""
        return all(entry.name.startswith((f".{MARKER}.", LOCKS)) for entry in os.scandir(self.root))

    @staticmethod
    def _check_marker(marker: Path) -> None:
        content = read_json(marker)
        if content.get("format") != _FORMAT["format"]:
            raise InputError(f"{marker} belongs to something else: this is not a results folder.")
        if content.get("version") != _FORMAT["version"]:
            raise InputError(
                f"{marker} says version {content.get('version')!r} of the results format; this "
                f"pflbench reads version {_FORMAT['version']}."
            )

    def make(self) -> None:
        """Make the folder and its marker, if they are not there.

        Raises
        ------
        InputError, WorkError
            They cannot be written.
        """
        self.check_writable()
        with writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
        if not (self.root / MARKER).exists():
            with locked(self._locks / f"{MARKER}.lock"):
                remove_temporaries(self.root, MARKER)
                if not (self.root / MARKER).exists():
                    write_json(self.root / MARKER, _FORMAT)
        with writing(self._runs):
            self._runs.mkdir(exist_ok=True)
