"""Writing and reading single files of a results folder.

A file is written under a temporary name in its own folder, brought to the disk and then renamed: at
any moment the name holds the whole old content or the whole new content. A failed write is a
`WorkError`; a failed read is a `DamagedError` that names the file. Only plain files are read: a
link may lead out of the folder, and a pipe may never end.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from pflbench.errors import DamagedError, InputError, WorkError
from pflbench.schema.error_text import one_line

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an operating-system error met while writing `path` into a `WorkError`."""
    try:
        yield
    except OSError as error:
        # In the system's words: libraries that pass an error on add theirs, over several sentences.
        reason = os.strerror(error.errno) if error.errno else one_line(str(error)).rstrip(".")
        if isinstance(error, FileNotFoundError):
            reason = "its folder is gone, moved or removed meanwhile"
        final = Path(*(_TEMPORARY.sub(r"\1", part) for part in path.parts))
        raise WorkError(f"Results could not be written to {final}: {reason}.") from error


def temporary_name(path: Path) -> Path:
    """Return a new name in the folder of `path` that shows its purpose and is never read."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")


_TEMPORARY = re.compile(r"^\.(.+)\.[0-9a-f]{32}\.tmp$")


def write_file(path: Path, fill: Callable[[Path], object]) -> None:
    """Write a file atomically.

    Parameters
    ----------
    path
        The file to be; its folder exists.
    fill
        Writes the content to the (temporary) path that it is given.

    Raises
    ------
    WorkError
        The disk is full, the folder cannot be written, ...; the old file, if any, is unharmed.
    """
    temporary = temporary_name(path)
    with writing(path):
        try:
            fill(temporary)
            _sync(temporary)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries to the disk, if the system supports it."""
    if os.name == "posix":
        _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Mapping[str, Any], *, allow_nan: bool = False) -> None:
    """Write JSON; numpy and torch scalars become numbers.

    A value that is not finite becomes null, as JSON has no word for it, unless `allow_nan`: then
    it is written as Python's `json` reads it back.
    """
    plain = _plain(value, allow_nan)
    text = json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=allow_nan) + "\n"
    write_file(path, lambda temporary: temporary.write_bytes(text.encode()))


def as_json(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value as `read_json` returns it after `write_json`."""
    read: dict[str, Any] = json.loads(json.dumps(_plain(value, allow_nan=False)))
    return read


def _plain(value: Any, allow_nan: bool) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item, allow_nan) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, allow_nan) for item in value]
    if isinstance(value, Path):
        return str(value)
    if not isinstance(value, (str, int, float)) and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not allow_nan and not math.isfinite(value):
        return None
    return value


_KINDS = (
    (stat.S_ISREG, "a file"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a link"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (lambda mode: True, "a device"),
)

_READING = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")
)


@contextmanager
def reading(path: Path) -> Iterator[BufferedReader]:
    """Open a plain file for the body of a `with`.

    Raises
    ------
    DamagedError
        It is missing, is no plain file, or cannot be read.
    """
    try:
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            descriptor = os.open(path, _READING)
            with os.fdopen(descriptor, "rb") as file:
                mode = os.fstat(descriptor).st_mode  # it may have been replaced since the look
                if stat.S_ISREG(mode):
                    yield file
                    return
    except FileNotFoundError as error:
        raise DamagedError(path, f"{path} is missing") from error
    except OSError as error:
        reason = error.strerror or one_line(str(error))
        again = error.errno not in (errno.EACCES, errno.EPERM)
        raise DamagedError(path, f"{path} cannot be read: {reason}", again=again) from error
    kind = next(words for fits, words in _KINDS if fits(mode))
    raise DamagedError(path, f"{path} is damaged: it is {kind}, and a plain file is expected")


def read_bytes(path: Path) -> bytes:
    """Read a plain file whole.

    Raises
    ------
    DamagedError
        As `reading`.
    """
    with reading(path) as file:
        return file.read()


def read_json(path: Path, *, allow_nan: bool = False) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    DamagedError
        The file cannot be read, or does not hold a whole JSON object with each key once and,
        unless `allow_nan`, without the numbers that JSON has no word for.
    """
    content = read_bytes(path)
    try:
        value = (_LENIENT if allow_nan else _STRICT).decode(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise DamagedError(
            path, f"{path} is damaged: it does not hold whole JSON ({_line(error)})"
        ) from error
    if not isinstance(value, dict):
        raise DamagedError(path, f"{path} is damaged: a JSON object is expected")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it has a key twice")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


_STRICT = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_number)
_LENIENT = json.JSONDecoder(object_pairs_hook=_once)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a data frame as Parquet with page checksums; its index is not kept."""
    arrow = pa.Table.from_pandas(table, preserve_index=False)

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # Arrow takes a path with a colon for an address
            pq.write_table(arrow, file, write_page_checksum=True)

    write_file(path, write)


def read_arrow(
    path: Path, columns: list[str] | None = None, content: bytes | None = None
) -> pa.Table:
    """Read a Parquet file, or some of its columns.

    Parameters
    ----------
    path, columns
        The file, and the columns; None for all.
    content
        The file's content, if it has been read.

    Raises
    ------
    DamagedError
        The file is missing or damaged.
    InputError
        It lacks one of the columns.
    """
    source = pa.BufferReader(read_bytes(path) if content is None else content)
    try:
        with pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=False) as file:
            missing = set(columns or ()) - set(file.schema_arrow.names)
            if not missing:
                # One thread: for the small tables of a run, starting more costs more than it saves.
                return file.read(columns=columns, use_threads=False)
    except Exception as error:  # a damaged footer makes Arrow raise anything
        raise DamagedError(path, f"{path} is damaged: {_line(error)}") from error
    raise InputError(f"{path} has no column {', '.join(sorted(missing))}.")


def to_frame(path: Path, table: pa.Table) -> pd.DataFrame:
    """Return a table that was read from a file as a data frame.

    Raises
    ------
    DamagedError
        The file's pandas metadata is damaged.
    """
    try:
        frame: pd.DataFrame = table.to_pandas()
    except Exception as error:  # pandas trusts that note: KeyError, TypeError, JSONDecodeError, ...
        raise DamagedError(
            path, f"{path} is damaged: its note for pandas cannot be read ({_line(error)})"
        ) from error
    return frame


def remove_folder(folder: Path) -> None:
    """Remove a folder and its content, atomically for other processes: it is renamed first.

    Anything else in its place, such as a link, is removed itself.
    """
    if not os.path.lexists(folder):
        return
    with writing(folder):
        doomed = temporary_name(folder)
        folder.replace(doomed)
        _remove(doomed)


def check_folder(folder: Path) -> None:
    """Refuse anything but a folder; a link to a folder is one.

    Raises
    ------
    FileNotFoundError
        It does not exist.
    DamagedError
        It is something else: a file, or a link that leads nowhere.
    """
    mode = folder.lstat().st_mode
    if stat.S_ISLNK(mode):
        try:
            mode = folder.stat().st_mode
        except FileNotFoundError:
            pass  # where it leads
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
    if not stat.S_ISDIR(mode):
        kind = next(words for fits, words in _KINDS if fits(mode))
        if stat.S_ISLNK(mode):
            kind += " that leads nowhere"
        raise DamagedError(folder, f"{folder} is damaged: it is {kind}, and a folder is expected")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


@contextmanager
def pinned(folder: Path) -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether a path still names the folder that it names now.

    The folder is kept open meanwhile, or its number could be given to the next one of that name.

    Raises
    ------
    FileNotFoundError
        It does not exist.
    """
    if os.name != "posix":  # folders cannot be opened, and folders in use cannot be replaced
        folder.stat()
        yield folder.exists
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield lambda: _names(folder, os.fstat(descriptor))
    finally:
        os.close(descriptor)


def _names(path: Path, what: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), what)
    except FileNotFoundError:
        return False


def remove_temporaries(folder: Path, name: str = "*") -> None:
    """Remove what processes killed while writing left in a folder, for one name or for all."""
    with writing(folder):
        for left in folder.glob(f".{name}.*.tmp"):
            _remove(left)


def _line(error: BaseException) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
