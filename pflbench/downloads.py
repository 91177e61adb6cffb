"""One file over HTTP: by pooch, with a bar on terminals, a largest size, and resuming."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

READ_SECONDS = 20.0
"""How long a connected server may stay silent."""

_CHUNK = 2**16
"""Bytes that are written at a time."""


class NotDeliveredError(Exception):
    """A server did not deliver; the message says why, in one line."""


def stream(
    url: str,
    path: Path,
    progress: Progress,
    *,
    largest: int,
    read_seconds: float = READ_SECONDS,
    resume: bool = False,
) -> None:
    """Write what a URL delivers to a file.

    Parameters
    ----------
    url
        Of `http` or `https`.
    path
        The file. What was received before a fault stays in it.
    progress
        Shows the bytes.
    largest
        Bytes above which nothing is accepted.
    read_seconds
        How long the server may stay silent.
    resume
        Whether the file may hold the beginning of the content, after which the server is asked to
        continue. One that cannot sends all, and the file begins again.

    Raises
    ------
    NotDeliveredError
        An HTTP error, a broken connection, or a body that is too long or ends early.
    OSError
        The file cannot be written.
    """
    import pooch  # with requests: imported only to download
    import requests

    name = url.rsplit("/", 1)[-1]
    held = path.stat().st_size if resume and path.exists() else 0
    with path.open("r+b" if held else "wb") as file:
        file.seek(held)
        bar = _Bar(name, progress, held, largest)

        def received(answer: Any, **_: object) -> None:
            # Keep a file packed that the server calls a packed page: requests would unpack it.
            answer.raw.headers.discard("Content-Encoding")
            begins = answer.headers.get("Content-Range", "").startswith(f"bytes {held}-")
            if held and answer.ok and not (answer.status_code == 206 and begins):
                file.seek(0)
                file.truncate()
                bar.held = 0

        asked = {"Range": f"bytes={held}-"} if held else {}
        fetch = pooch.HTTPDownloader(
            progressbar=bar,
            chunk_size=_CHUNK,
            timeout=read_seconds,
            headers={"User-Agent": "pflbench", "Accept-Encoding": "identity", **asked},
            hooks={"response": received},
        )
        try:
            fetch(url, file, None)
        except requests.HTTPError as error:
            answer = error.response
            assert answer is not None  # pooch has it raised of an answer
            if held and answer.status_code == 416:  # nothing comes after what is held
                return
            raise NotDeliveredError(f"{name}: HTTP {answer.status_code} {answer.reason}") from error
        except (requests.RequestException, ValueError) as error:  # the second: a length in words
            raise NotDeliveredError(_broken(name, error, read_seconds)) from error
        size = file.tell()
    if bar.total and size != bar.held + bar.total:
        raise NotDeliveredError(f"{name} ended after {size:,} of {bar.held + bar.total:,} bytes")


@contextmanager
def shown(console: Console, title: str, host: str) -> Iterator[Progress]:
    """Print what is downloaded from which host, and yield bars for a terminal."""
    console.print(f"Downloading {title} from {host}.", highlight=False, soft_wrap=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    # Without a terminal (a log file, CI) the line above is enough.
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        yield bar


def _broken(name: str, error: BaseException, seconds: float) -> str:
    """Say how a connection ended, by the first cause that says it plainly."""
    said = f"{name}: {error}"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, http.client.IncompleteRead) and cause.expected is not None:
            received = int(cause.partial)  # urllib3's is a number
            return f"{name} ended after {received:,} of {received + cause.expected:,} bytes"
        if isinstance(cause, TimeoutError):
            return f"{name}: silent for {seconds:g} s"
        if isinstance(cause, OSError) and cause.strerror:
            said = f"{name}: {cause.strerror}"
        cause = cause.__cause__ or cause.__context__
    return said


class _Bar:
    """Shows pooch's progress of a download, and refuses a file that is far too long."""

    def __init__(self, name: str, progress: Progress, held: int, largest: int) -> None:
        self._name, self._progress, self._largest = name, progress, largest
        self._task = progress.add_task(name, total=None)
        self._total = self._received = 0
        self.held = held
        """Bytes of the content that the file had before."""

    @property
    def total(self) -> int:
        """Bytes that the server announced; 0 if it did not."""
        return self._total

    @total.setter
    def total(self, total: int) -> None:
        self._total = total
        self._progress.update(self._task, total=self.held + total if total else None)
        self._progress.update(self._task, completed=self.held)

    def update(self, size: int) -> None:
        """Count bytes."""
        self._received += size
        if self.held + max(self._received, self._total) > self._largest:
            raise NotDeliveredError(f"{self._name} is far too long")
        self._progress.advance(self._task, size)

    def reset(self) -> None:
        """Begin to count again."""
        self._received = 0
        self._progress.update(self._task, completed=self.held)

    def close(self) -> None:
        """Leave the bar to its owner."""
