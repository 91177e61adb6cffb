"""Reading .npz archives: nothing in them is ever unpickled or written to disk."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pflbench.schema.content import described, regular

if TYPE_CHECKING:
    import numpy as np


class ArchiveError(Exception):
    """The error of an archive, as a predicate: "is a Python pickle".

    NumPy's own words are in no message: they may advise to unpickle.

    Attributes
    ----------
    member
        The array with the error; "" for the archive itself.
    """

    def __init__(self, predicate: str, member: str = "") -> None:
        super().__init__(predicate)
        self.member = member


class NoArchiveError(ArchiveError):
    """Description of a file that is not an archive, or not a whole one."""


def read_archive(
    path: Path, what: str, accept: Callable[[Sequence[str]], None] = lambda names: None
) -> dict[str, np.ndarray]:
    """Read the arrays of an archive.

    Parameters
    ----------
    path
        The archive.
    what
        Its purpose, as the start of the sentence if it is not a file.
    accept
        Checks the arrays' names before any is read, and raises if they are not the expected ones.

    Raises
    ------
    InputError
        The path is no file that can be read.
    NoArchiveError
        It is no archive, or not a whole one.
    ArchiveError
        It holds an object that is not a plain array, or several of one name.
    """
    import numpy as np

    regular(path, what)
    kind = described(path)
    if "zip archive" not in kind:
        raise NoArchiveError(f"is {kind}")
    try:
        archive = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise NoArchiveError("is a damaged or truncated zip archive") from error
    with archive:
        names = [name.removesuffix(".npy") for name in archive.zip.namelist()]
        for name in names:
            if names.count(name) > 1:
                raise ArchiveError(f"holds several arrays {name!r}, expected one")
        accept(names)
        return {name: _array(archive, name) for name in names}


def _array(archive: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    import numpy as np

    try:
        array = archive[name]
    except MemoryError as error:
        raise ArchiveError("is too large for the memory", name) from error
    except Exception as error:  # a malformed member can raise nearly anything
        if "allow_pickle=False" in str(error):
            raise ArchiveError(
                "holds Python objects, which are never unpickled: store a plain array of numbers, "
                "or of text by np.array(values, dtype=str)",
                name,
            ) from error
        raise ArchiveError("is damaged or truncated", name) from error
    if not isinstance(array, np.ndarray):  # a member that is no .npy file comes as bytes
        raise ArchiveError("is not a NumPy array", name)
    return array
