"""Writing and reading single files of a results folder.

A file is written under a temporary name in its own folder, brought to the disk and then renamed:
at any moment the name holds the old content or the new, whole. What cannot be written is a
`WorkError`; what cannot be read is an `InputError` that names the file.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from pflbench.errors import InputError, WorkError
from pflbench.sentences import one_line

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
        final = Path(*(_TEMPORARY.sub(r"\1", part) for part in path.parts))
        raise WorkError(f"Results could not be written to {final}: {reason}.") from error


def temporary_name(path: Path) -> Path:
    """Return a new name beside `path` that says what it is for, and that is never read."""
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
    """Bring a folder's entries to the disk, where the system knows how."""
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


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    InputError
        The file is missing, cannot be read, or does not hold a whole JSON object.
    """
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"The results folder is damaged: {path} is missing.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise InputError(f"{path} is damaged: it does not hold whole JSON ({error}).") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} is damaged: expected a JSON object.")
    return value


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a data frame as Parquet with page checksums; its index is not kept."""
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    write_file(
        path, lambda temporary: pq.write_table(arrow, temporary, write_page_checksum=True)
    )  # fmt: skip


def read_arrow(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file, or some of its columns.

    Raises
    ------
    InputError
        The file is missing, damaged, or lacks one of the columns.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
            missing = set(columns or ()) - set(file.schema_arrow.names)
            if missing:
                raise InputError(f"{path} has no column {', '.join(sorted(missing))}.")
            # One thread: for the small tables of a run, starting more costs more than it saves.
            return file.read(columns=columns, use_threads=False)
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing.") from error
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} is damaged or cannot be read: {_line(error)}.") from error


def remove_folder(folder: Path) -> None:
    """Remove a folder and what is in it, at once for whoever looks: it is renamed first."""
    if not folder.exists():
        return
    with writing(folder):
        doomed = temporary_name(folder)
        folder.replace(doomed)
        shutil.rmtree(doomed)


@contextmanager
def pinned(folder: Path) -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether a path still names the folder that it names now.

    The folder is kept open meanwhile, or its number could be given to the next one of that name.

    Raises
    ------
    FileNotFoundError
        There is none.
    """
    if os.name != "posix":  # folders cannot be opened, nor are those that are in use replaced
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
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()


def _line(error: BaseException) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
