"""The one place that makes paths from user input, and that reads users' text files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from pflbench.errors import InputError
from pflbench.schema.error_text import is_unicode, plain

_MARKS: Final = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
"""First bytes of files in other encodings."""


def path_of(written: Any, what: str = "path") -> Path:
    """Make a path of a text, or of a path: a `~` at its beginning is a home folder.

    Parameters
    ----------
    written
        From a command line, a file, the environment or Python; `:` has no meaning in it.
    what
        The name of the path in messages: "--results".

    Raises
    ------
    InputError
        It is empty or not a text, its bytes are not UTF-8, or the home folder does not exist.
    """
    try:
        text = os.fspath(written)
    except TypeError as error:
        raise InputError(f"{what} {written!r} is not valid: expected a path.") from error
    if not isinstance(text, str):
        raise InputError(f"{what} {text!r} is not valid: expected a path as text, not as bytes.")
    if not text or "\0" in text:
        raise InputError(f"{what} {text!r} is not valid: expected a path.")
    if not is_unicode(text):
        raise InputError(
            f"{what} {plain(text)!r} is not valid: its bytes are no UTF-8, and results could not "
            "name it. Rename it, or give a path in UTF-8 that leads there."
        )
    if not text.startswith("~"):
        path = Path(text)
        # './~x' loses its './', and making a path of it again must give the same.
        return path.absolute() if str(path).startswith("~") else path
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"{what} {text!r} is not valid: the home folder of {text.partition('/')[0]!r} is not "
            f"known. A name that begins with ~ is written './{text}'."
        ) from error


def path_below(folder: Path, written: str) -> str:
    """Return the text of a path that is relative to a folder, unless it begins with `/` or `~`."""
    if written.startswith("~"):
        return written
    below = str(folder / written)
    return str(path_of(f"./{below}")) if below.startswith("~") else below


def read_text(path: Path) -> str:
    """Read a text file that a user wrote: UTF-8, with a byte order mark or without.

    Raises
    ------
    InputError
        It cannot be read, or is no UTF-8.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            raise InputError(f"{path} is in {encoding}: expected UTF-8. Save it as UTF-8.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path} is not in UTF-8: line {line} holds the byte {content[error.start]:#04x}. Save "
            "it as UTF-8."
        ) from error
