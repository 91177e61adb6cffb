"""Reading arrays of Python objects that other tools pickle: arrays, dicts and lists alone.

Unpickling runs the code that a file names. This reader can name nothing but the classes below,
which stand for NumPy's: NumPy's own take a type and a state from the file, and with a forged state
they write out of bounds. It is Python's reader in Python: that in C reserves memory as the file
says.
"""

from __future__ import annotations

import io
import pickle
import re
import zipfile
import zlib
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import psutil

from pflbench.schema.archives import ArchiveError, NoArchiveError
from pflbench.schema.content import described, regular

_TYPES: Final = re.compile(r"(b1|[iu][1248]|f[248]|[US][0-9]{1,6}|O8?)")
"""Codes of element types: truth values, numbers, texts, and objects."""

_OBJECTS: Final = "O"

_DAMAGED: Final = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    zlib.error,
    zipfile.BadZipFile,
)
"""What the reading of a damaged archive raises."""


class StrangeError(Exception):
    """The content of a pickle that is no array, dict, list, text or number; a predicate."""


def read_object(path: Path, what: str, member: str) -> Any:
    """Return the object that an archive holds as its one array, such as np.savez(path, data={...}).

    Parameters
    ----------
    path
        The archive.
    what
        Its purpose, as the start of the sentence if it is not a file.
    member
        The array's name.

    Returns
    -------
    A plain array, or for an array of one object this object; arrays within are of NumPy, and those
    of objects are lists or tuples.

    Raises
    ------
    InputError
        The path is no file that can be read.
    NoArchiveError
        It is no archive, or not a whole one.
    ArchiveError
        It lacks the array, holds others, is larger than the memory, or names a Python object that
        is not of arrays; nothing of it has been run.
    """
    regular(path, what)
    kind = described(path)
    if "zip archive" not in kind:
        raise NoArchiveError(f"is {kind}")
    try:
        with zipfile.ZipFile(path) as archive:
            content = _content(archive, member)
    except MemoryError as error:
        raise ArchiveError("is too large for the memory", member) from error
    except (
        OSError,
        EOFError,
        ValueError,
        RuntimeError,
        zipfile.error,
        zipfile.BadZipFile,
    ) as error:
        raise NoArchiveError("is a damaged or truncated zip archive") from error
    return _array(content, member)


def _content(archive: zipfile.ZipFile, member: str) -> bytes:
    names = [name.removesuffix(".npy") for name in archive.namelist()]
    if names != [member]:
        found = ", ".join(repr(name) for name in names[:3]) or "nothing"
        raise ArchiveError(f"holds {found}, expected the one array {member!r}")
    (info,) = archive.infolist()
    free = psutil.virtual_memory().available
    if info.file_size > free:
        raise ArchiveError(
            f"unpacks to {info.file_size:,} bytes, more than the {free:,} bytes of free memory",
            member,
        )
    with archive.open(info) as file:
        return file.read(info.file_size)  # no more than was declared


def _array(content: bytes, member: str) -> Any:
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, kind = read(file)
        if not kind.hasobject:
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False)
    except Exception as error:  # a malformed header can raise nearly anything
        raise ArchiveError("is damaged or truncated", member) from error
    try:
        return _plain(_Unpickler(file).load(), shape)
    except StrangeError as error:
        raise ArchiveError(str(error), member) from error
    except Exception as error:  # so can a malformed pickle
        raise ArchiveError("holds a damaged or truncated pickle", member) from error


def _plain(value: Any, shape: tuple[int, ...]) -> Any:
    if not isinstance(value, _Array) or value.shape != shape:
        raise StrangeError("holds a pickle that is not the array of its header")
    return value.objects[0] if value.objects and shape == () else value.whole()


def as_array(value: Any) -> np.ndarray | None:
    """Return a value of an object as an array of numbers or texts; None if it is none."""
    if isinstance(value, _Array):
        return None if value.numbers is None else value.numbers
    return value if isinstance(value, np.ndarray) else None


def as_list(value: Any) -> list[Any] | None:
    """Return a list, a tuple, or the elements of an array of objects; None if it is none."""
    if isinstance(value, _Array) and value.numbers is None:
        return list(value.whole())
    return list(value) if isinstance(value, list | tuple) else None


class _Unpickler(pickle._Unpickler):
    """Knows of all importable names only those of arrays and their types."""

    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        code: load
        for code, load in pickle._Unpickler.dispatch.items()
        if code != pickle.BYTEARRAY8[0]  # reserves what the file says; NumPy's files have none
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return the class that stands for a name of NumPy's; refuse all else."""
        # numpy.core is where older files say it is, numpy._core where NumPy 2 has it.
        known: dict[tuple[str, str], Callable[..., Any] | str] = {
            ("numpy.core.multiarray", "_reconstruct"): _Array,
            ("numpy._core.multiarray", "_reconstruct"): _Array,
            ("numpy.core.multiarray", "scalar"): _Number,
            ("numpy._core.multiarray", "scalar"): _Number,
            ("numpy", "ndarray"): "ndarray",  # an argument of _reconstruct, never called
            ("numpy", "dtype"): _Type,
        }
        if (module, name) not in known:
            raise StrangeError(
                f"names {module}.{name}, and a pickle may run what it names: expected arrays, "
                "dicts, lists, texts and numbers alone"
            )
        return known[module, name]


class _Type:
    """Stands for the type of an array's elements."""

    def __init__(self, code: object, *flags: object) -> None:
        if not isinstance(code, str) or not _TYPES.fullmatch(code):
            raise StrangeError(f"holds an array of type {code!r}, expected numbers or text")
        self._code, self._order = code, "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take the order of bytes; a type of several parts is none of these."""
        order, parts = state[1], state[2:5]
        if order not in ("<", ">", "|", "=") or parts != (None, None, None):
            raise StrangeError("holds an array of a composed type, expected numbers or text")
        self._order = order

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """NumPy's type; None for objects."""
        return None if self._code.startswith(_OBJECTS) else np.dtype(self._order + self._code)


class _Array:
    """Stands for an array while it is read."""

    def __init__(self, *empty: object) -> None:
        self.shape: tuple[int, ...] = (0,)
        self.numbers: np.ndarray | None = None
        self.objects: list[Any] = []

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take shape and content."""
        _, shape, kind, by_columns, content = state
        if not isinstance(kind, _Type):
            raise StrangeError("holds an array of an unknown type")
        if not all(type(size) is int and size >= 0 for size in shape):
            raise StrangeError("holds an array of an unknown shape")
        self.shape = tuple(shape)
        dtype = kind.dtype
        if dtype is not None and isinstance(content, bytes):
            flat = np.frombuffer(content, dtype)
            self.numbers = flat.reshape(self.shape, order="F" if by_columns else "C")
        elif dtype is None and isinstance(content, list) and len(content) == prod(self.shape):
            if len(self.shape) > 2:
                raise StrangeError("holds an array of objects with more than two dimensions")
            if by_columns and sum(size > 1 for size in self.shape) > 1:
                raise StrangeError("holds an array of objects by columns, expected rows")
            self.objects = content
        else:
            raise StrangeError("holds an array whose content is not of its type and shape")

    def whole(self) -> Any:
        """Return the numbers, or the rows of objects: a list of objects, or of lists of them."""
        if self.numbers is not None:
            return self.numbers
        if len(self.shape) < 2:
            return list(self.objects)
        rows, width = self.shape
        return [self.objects[i * width : (i + 1) * width] for i in range(rows)]


class _Number:
    """Stands for one number of NumPy's."""

    def __init__(self, kind: object, content: object) -> None:
        dtype = kind.dtype if isinstance(kind, _Type) else None
        if dtype is None or not isinstance(content, bytes) or len(content) != dtype.itemsize:
            raise StrangeError("holds a number of an unknown type")
        self.value = np.frombuffer(content, dtype)[0].item()

    def __setstate__(self, state: object) -> None:
        """Refuse a state: a number has none."""
        raise StrangeError("holds a number of an unknown type")


def as_number(value: object) -> object:
    """Return the number that an object stands for; other objects unchanged."""
    return value.value if isinstance(value, _Number) else value
