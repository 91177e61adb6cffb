"""The kind of a file by its first bytes, for messages about unexpected files."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

from pflbench.errors import InputError
from pflbench.schema.error_text import plain

_HEAD: Final = 512
_QUOTED: Final = 32
"""Characters of a text that a message quotes."""

_MAGIC: Final = (
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x93NUMPY", "a single NumPy array (.npy)"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"\x89HDF", "an HDF5 file"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"MATLAB", "a MATLAB file"),
    (b"SQLite", "an SQLite database"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"%PDF", "a PDF file"),
)
_TEXTS: Final = (
    ("version https://git-lfs", "a Git LFS pointer, not the file itself (git lfs pull fetches it)"),
    ("/annex/objects/", "a git-annex pointer, not the file itself (git annex get fetches it)"),
    ("<!doctype html", "a web page"),
    ("<html", "a web page"),
)


def regular(path: Path, what: str) -> None:
    """Check that a path is a file that can be read to its end, before it is opened.

    Opening a named pipe would wait for its writer.

    Raises
    ------
    InputError
        It is something else, or nothing; the message begins with `what`.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if path.is_symlink():
            raise InputError(f"{what}: {path} is a link to nothing.") from error
        raise InputError(f"{what}: {path} cannot be read: {error.strerror or error}.") from error
    if not stat.S_ISREG(mode):
        kinds = (
            (stat.S_ISDIR, "a folder"),
            (stat.S_ISFIFO, "a named pipe"),
            (stat.S_ISSOCK, "a socket"),
        )
        kind = next((words for is_kind, words in kinds if is_kind(mode)), "a device")
        raise InputError(f"{what}: {path} is {kind}, expected a file.")


def described(path: Path) -> str:
    """Return the kind of a file, in words: "text that begins with 'x,y'"."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        return f"not readable ({error.strerror or error})"
    if not head:
        return "empty"
    for magic, words in _MAGIC:
        if head.startswith(magic):
            return words
    return _text(head) or f"of an unknown kind (it begins with the bytes {head[:8].hex(' ')})"


def _text(head: bytes) -> str:
    """Return the kind of text, if it is one: UTF-8, perhaps cut off within a character."""
    if b"\0" in head:
        return ""
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(head) < _HEAD or error.start < _HEAD - 4:
            return ""
        text = head[: error.start].decode("utf-8-sig")
    start = text.lstrip()
    for begins, words in _TEXTS:
        if start.lower().startswith(begins):
            return words
    line = plain((start.splitlines() or [""])[0])
    quoted = line if len(line) <= _QUOTED else f"{line[:_QUOTED]}…"
    kind = "text"
    if start[:1] in ("{", "["):
        kind = "JSON"
    elif any(separator in line for separator in (",", ";", "\t")):
        kind = "text, perhaps CSV,"
    return f"{kind} that begins with {quoted!r}"
