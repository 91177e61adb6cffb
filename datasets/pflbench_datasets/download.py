"""Downloads: by pooch to a temporary file, verified, then moved in place.

The published checksums are those of the files unpacked, which pooch does not compare; so pooch
brings the files, and they are verified here.
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from pflbench.downloads import READ_SECONDS, NotDeliveredError, shown, stream
from pflbench_datasets.collection import (
    LARGEST,
    Collection,
    DamagedError,
    Part,
    read_archive,
    read_part,
)


class DownloadError(Exception):
    """No mirror could deliver; the message says why, in one line."""


def download(
    collection: Collection,
    cache: Path,
    *,
    connect_seconds: float = 2.0,
    console: Console | None = None,
) -> str:
    """Download a data set into a cache folder, unpacked, in torchvision's layout.

    Only verified content gets its final name: a process that reads the cache meanwhile, or after an
    interruption, finds whole files or none.

    Parameters
    ----------
    collection
        The files to download, and their mirrors.
    cache
        The folder under which `collection.folder` is made.
    connect_seconds
        Mirrors that accept no connection within this time are left out.
    console
        Where progress is shown; standard error by default.

    Returns
    -------
    The host that delivered.

    Raises
    ------
    DownloadError
        No mirror delivered the right content, or it could not be written.
    """
    mirrors = _reachable(collection.mirrors, connect_seconds)
    console = console or Console(stderr=True)
    folder = cache / collection.folder
    problems: list[str] = []
    for mirror in mirrors:
        host = urllib.parse.urlsplit(mirror).hostname or mirror
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with shown(console, collection.title, host) as progress:
                if collection.archive is not None:
                    _fetch_archive(mirror, collection, folder, progress)
                else:
                    for part in collection.parts:
                        _fetch_part(mirror, part, collection, folder, progress)
            return host
        except NotDeliveredError as error:
            problems.append(f"{host}: {error}")
        except OSError as error:
            raise DownloadError(f"{folder} cannot be written: {error.strerror or error}") from error
    raise DownloadError("; ".join(problems))


def _stream(url: str, path: Path, progress: Progress) -> None:
    stream(url, path, progress, largest=LARGEST, read_seconds=READ_SECONDS)


def _fetch_part(
    mirror: str, part: Part, collection: Collection, folder: Path, progress: Progress
) -> None:
    target = folder / part.name
    if target.is_file():
        try:  # left by an earlier attempt that got this far, or damaged
            read_part(target, part, collection)
            return
        except DamagedError:
            pass
    with _temporary(folder, suffix=".gz") as path:
        _stream(f"{mirror}{part.name}.gz", path, progress)
        try:
            content = read_part(path, part, collection)
        except DamagedError as error:
            raise NotDeliveredError(_name(error, path, f"{part.name}.gz")) from error
        _store(content, target)


def _fetch_archive(mirror: str, collection: Collection, folder: Path, progress: Progress) -> None:
    assert collection.archive is not None
    name = collection.archive.name
    with _temporary(folder, suffix=".tar.gz") as path:
        _stream(f"{mirror}{name}", path, progress)
        try:
            contents = read_archive(path, collection)
        except DamagedError as error:
            raise NotDeliveredError(_name(error, path, name)) from error
        for part, content in contents.items():
            _store(content, folder / part)


def _name(error: DamagedError, path: Path, name: str) -> str:
    return "what it sent is damaged: " + str(error).replace(str(path), name)


def _store(content: np.ndarray, target: Path) -> None:
    """Write a file under a temporary name and move it in place when it is whole."""
    with _temporary(target.parent, suffix=".part") as path:
        with path.open("wb") as file:
            file.write(content.data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp's mode is for its owner alone; a cache may be shared.
        path.chmod(0o644)
        path.replace(target)


@contextmanager
def _temporary(folder: Path, *, suffix: str) -> Iterator[Path]:
    handle, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=suffix)
    os.close(handle)
    path = Path(name)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _reachable(mirrors: Sequence[str], seconds: float) -> list[str]:
    """Return the mirrors that accept a connection in time, in their order.

    All are tried in parallel, each in its own thread, which is abandoned at the deadline: a name
    lookup has no time limit in Python, and takes many seconds on a machine that is configured for a
    network but has none.
    """
    answers: dict[str, str] = {}

    def knock(mirror: str) -> None:
        try:
            with socket.create_connection(_endpoint(mirror), timeout=seconds):
                answers[mirror] = ""
        except (OSError, ValueError) as error:
            answers[mirror] = str(getattr(error, "strerror", None) or error)

    threads = [threading.Thread(target=knock, args=(m,), daemon=True) for m in mirrors]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    reached = [mirror for mirror in mirrors if answers.get(mirror) == ""]
    if not reached:
        reasons = {answers.get(mirror, f"no answer within {seconds:g} s") for mirror in mirrors}
        raise DownloadError(f"no mirror can be reached ({'; '.join(sorted(reasons))})")
    return reached


def _endpoint(url: str) -> tuple[str, int]:
    """Return host and port that a connection for this address goes to: its own or its proxy's."""
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(host):
        parts = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
        host = parts.hostname or ""
    return host, parts.port or (443 if parts.scheme == "https" else 80)
