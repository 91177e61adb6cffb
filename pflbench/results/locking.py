"""One process at a time works on a run.

The lock is the operating system's (`flock` or similar), so it is released when its process ends,
even by SIGKILL. Lock files are next to the runs, not in them, and are never removed: a run's folder
can be replaced while its lock is held, and removing a lock file would let two processes hold "the"
lock.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from pflbench.errors import WorkError
from pflbench.results.files import writing

if sys.platform != "win32":
    import fcntl

PATIENCE = 0.3
"""Seconds for which a lock is retried: a process that only checks it holds it for less than one."""


class RunBusyError(WorkError):
    """Another process, or another writer in this one, runs it; `holder` names it, in words."""

    def __init__(self, run_id: str, holder: str) -> None:
        super().__init__(run_id, holder)
        self.run_id, self.holder = run_id, holder

    def __str__(self) -> str:
        """Return one sentence for users."""
        return f"Run {self.run_id} is being run by {self.holder}."


class RunLock:
    """The lock of one run, held from construction to `release`.

    Raises
    ------
    RunBusyError
        Another process (or another writer in this one) holds it.
    WorkError
        It cannot be made.
    """

    def __init__(self, folder: Path, run_id: str) -> None:
        self._note = note_path(folder, run_id)
        self._lock = filelock.FileLock(_path(folder, run_id), timeout=PATIENCE, thread_local=False)
        if not _acquire(self._lock):
            raise RunBusyError(run_id, _who(self._note))
        try:
            me = json.dumps({"pid": os.getpid(), "host": platform.node()}).encode()
            # Only the holder of the lock writes it: one name for all is enough, and the next holder
            # overwrites anything that a killed process leaves. It need not survive a crash.
            temporary = self._note.with_name(f".{self._note.name}.tmp")
            with writing(self._note):
                temporary.write_bytes(me)
                temporary.replace(self._note)
        except BaseException:
            self.release()
            raise

    @property
    def held(self) -> bool:
        """Whether the lock is held."""
        return self._lock.is_locked

    def release(self) -> None:
        """Give the lock back; doing so twice does no harm."""
        if self.held:
            with suppress(OSError):  # a remaining note misleads no process once the lock is free
                self._note.unlink()
            self._lock.release()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that is only ever held while a file is written; wait for it.

    Raises
    ------
    WorkError
        It cannot be made, or was not free within half a minute.
    """
    lock = filelock.FileLock(path, timeout=30.0, thread_local=False)
    if not _acquire(lock):
        raise WorkError(f"Another process has held the lock {path} for too long.")
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: filelock.BaseFileLock) -> bool:
    """Take a lock; return whether it was free in its time."""
    path = Path(lock.lock_file)
    with writing(path):
        path.parent.mkdir(exist_ok=True)  # a results folder that is gone is not made again
        try:
            lock.acquire(poll_interval=0.01)
        except filelock.Timeout:  # which is an OSError
            return False
        except NotImplementedError as error:
            raise WorkError(_no_locks(path)) from error
    if not _excludes(path):
        # filelock's fallback without `flock`: it would survive a killed process.
        lock.release()
        raise WorkError(_no_locks(path))
    return True


def _no_locks(path: Path) -> str:
    return f"The file system of {path.parent} cannot lock files."


def holder(folder: Path, run_id: str) -> str | None:
    """Return the holder of a run's lock, in words ("process 12 on host"), or None.

    Nothing is written. The lock is tried for an instant, shared with other checks; a process
    that takes it just then tries again.
    """
    path = _path(folder, run_id)
    try:
        _try(path)
    except (BlockingIOError, filelock.Timeout):
        return _who(note_path(folder, run_id))
    except OSError:  # the lock does not exist or cannot be checked: no holder is known
        return None
    return None


if sys.platform == "win32":

    def _try(path: Path) -> None:
        with path.open("rb"), filelock.FileLock(path, timeout=PATIENCE, thread_local=False):
            pass

    def _excludes(path: Path) -> bool:
        return True  # every lock does

else:

    def _try(path: Path) -> None:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def _excludes(path: Path) -> bool:
        """Return whether a lock that was just taken is the operating system's, by trying it."""
        try:
            _try(path)
        except OSError as error:
            return error.errno not in (errno.ENOSYS, errno.EOPNOTSUPP)
        return False


def _path(folder: Path, run_id: str) -> Path:
    return folder / f"{run_id}.lock"


def note_path(folder: Path, run_id: str) -> Path:
    """Return the path of the note with the process that runs a run."""
    return folder / f"{run_id}.holder"


def _who(note: Path) -> str:
    try:
        content = json.loads(note.read_bytes())
        return f"process {int(content['pid'])} on {content['host']}"
    except (OSError, ValueError, KeyError, TypeError):  # it has not written its note yet
        return "another process"
