"""One process at a time works on a run.

The lock is the operating system's (`flock` or its like), so it dies with its process however that
ends. Lock files lie beside the runs, not in them, and are left in place: a run's folder can be
replaced while its lock is held, and removing a lock file would let two processes hold "the" lock.
"""

from __future__ import annotations

import json
import os
import platform
from contextlib import suppress
from pathlib import Path

import filelock

from pflbench.errors import WorkError
from pflbench.results.files import write_file, writing


class RunLock:
    """The lock of one run, held from construction to `release`.

    Raises
    ------
    WorkError
        Another process (or another writer in this one) holds it, or it cannot be made.
    """

    def __init__(self, folder: Path, run_id: str) -> None:
        self._holder = folder / f"{run_id}.holder"
        path = folder / f"{run_id}.lock"
        self._lock = filelock.FileLock(path, timeout=0, thread_local=False)
        with writing(path):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire()
            except filelock.Timeout as error:
                raise WorkError(f"Run {run_id} is being run by {self._who()}.") from error
            except NotImplementedError as error:
                raise WorkError(f"The file system of {folder} cannot lock files.") from error
        try:
            me = json.dumps({"pid": os.getpid(), "host": platform.node()}).encode()
            write_file(self._holder, lambda temporary: temporary.write_bytes(me))
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
            with suppress(OSError):  # a note that stays misleads nobody once the lock is free
                self._holder.unlink()
            self._lock.release()

    def _who(self) -> str:
        try:
            holder = json.loads(self._holder.read_bytes())
            return f"process {int(holder['pid'])} on {holder['host']}"
        except (OSError, ValueError, KeyError, TypeError):  # it has not said so yet
            return "another process"
