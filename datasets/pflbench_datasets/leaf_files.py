"""Files of LEAF: JSON of users and their samples, several files together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import psutil

from pflbench.errors import InputError
from pflbench.schema.content import described
from pflbench.schema.error_text import one_line

_NUMBERS: Final[Sequence[Any]] = (
    list[list[float]],
    list[list[list[float]]],
    list[list[list[list[float]]]],
    list[float],
)
"""Samples of numbers: [n, d], [n, h, w], [n, c, h, w], [n]."""

_WHOLE: Final[Sequence[Any]] = (list[int], list[list[int]], list[list[list[int]]])
_FRACTION: Final = re.compile(rb"[.eE]")

_TEXTS: Final[Sequence[Any]] = (list[str], list[list[int | float | str | None]])
"""Samples that are texts, or rows of cells with a text among them (Sent140)."""

Samples = np.ndarray | list[Any]


class _User(msgspec.Struct):
    x: msgspec.Raw
    y: msgspec.Raw


class _File(msgspec.Struct):
    users: list[str | int]
    user_data: dict[str, _User]
    num_samples: list[int] | None = None
    num_classes: int | None = None  # written by `pflbench export-data`


@dataclass
class Split:
    """The users of one split, in the order in which files name them.

    Attributes
    ----------
    x, y
        Each user's samples and labels: an array of numbers, or a list.
    classes
        The largest number of classes that a file gives, or None.
    """

    x: dict[str, Samples] = field(default_factory=dict)
    y: dict[str, Samples] = field(default_factory=dict)
    classes: int | None = None


def read_split(paths: Sequence[Path]) -> Split:
    """Return the users of several files; the samples of a user of several files are joined.

    Raises
    ------
    InputError
        A file is damaged, or not like LEAF's; the message names it, and the user.
    """
    found: dict[str, list[tuple[Samples, Samples]]] = {}
    split = Split()
    for path in paths:
        users, classes = _read(path)
        for user, samples in users.items():
            found.setdefault(user, []).append(samples)
        if classes is not None:
            split.classes = max(classes, split.classes or 0)
    for user, parts in found.items():
        split.x[user] = _joined([x for x, _ in parts], user)
        split.y[user] = _joined([y for _, y in parts], user)
    return split


def _joined(parts: Sequence[Samples], user: str) -> Samples:
    if len(parts) == 1:
        return parts[0]
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    if len(arrays) == len(parts):
        if len({array.shape[1:] for array in arrays}) == 1:
            return np.concatenate(arrays)
    elif not arrays:
        return [sample for part in parts for sample in part]
    raise InputError(
        f"leaf: the samples of user {user!r} differ in shape or kind from file to file."
    )


def _read(path: Path) -> tuple[Mapping[str, tuple[Samples, Samples]], int | None]:
    try:
        if path.stat().st_size > psutil.virtual_memory().available:
            raise InputError(f"leaf: {path} is larger than the free memory.")
        read = msgspec.json.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise InputError(f"leaf: {path} cannot be read: {error.strerror or error}.") from error
    except msgspec.ValidationError as error:
        raise InputError(
            f"leaf: {path} is not like LEAF's files: {one_line(str(error))}; expected users, "
            "num_samples and user_data with x and y of each user."
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"leaf: {path} is damaged or truncated: it is {described(path)}, expected JSON."
        ) from error
    users = [str(user) for user in read.users]
    if sorted(users) != sorted(read.user_data) or len(set(users)) < len(users):
        raise InputError(
            f"leaf: the {len(users):,} users of {path} are not the {len(read.user_data):,} of its "
            "user_data."
        )
    made = {user: _samples(read.user_data[user], f"user {user!r} of {path}") for user in users}
    if read.num_samples is not None:
        for user, count in zip(users, read.num_samples, strict=False):
            if len(made[user][1]) != count:
                raise InputError(
                    f"leaf: num_samples of user {user!r} of {path} is {count}, and there are "
                    f"{len(made[user][1])} labels."
                )
        if len(read.num_samples) != len(users):
            raise InputError(
                f"leaf: num_samples of {path} has {len(read.num_samples)} numbers for "
                f"{len(users)} users."
            )
    return made, read.num_classes


def _samples(own: _User, where: str) -> tuple[Samples, Samples]:
    x, y = _values(own.x, f"x of {where}"), _values(own.y, f"y of {where}")
    if len(x) != len(y):
        raise InputError(f"leaf: {where} has {len(x)} samples and {len(y)} labels.")
    return x, y


def _values(raw: msgspec.Raw, where: str) -> Samples:
    """Return numbers as an array, of whole numbers if all are; texts as a list."""
    whole = not _FRACTION.search(bytes(raw))
    for kind in (list[int], *(_WHOLE[1:] if whole else ()), *_NUMBERS):
        try:
            read = msgspec.json.decode(raw, type=kind)
        except msgspec.ValidationError:
            continue
        except (msgspec.DecodeError, RecursionError) as error:
            raise InputError(f"leaf: {where} is not valid JSON: {one_line(str(error))}.") from error
        return _array(read, where, np.int64 if kind in _WHOLE else np.float32)
    for kind in _TEXTS:
        try:
            return list(msgspec.json.decode(raw, type=kind))
        except msgspec.ValidationError:
            continue
    raise InputError(
        f"leaf: {where} holds something other than numbers of one shape, texts, or rows with a "
        "text, such as values that are missing."
    )


def _array(read: list[Any], where: str, dtype: Any) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):  # infinite numbers are refused with all others
            return np.array(read, dtype)
    except OverflowError as error:
        raise InputError(f"leaf: {where} holds a number of more than 64 bits.") from error
    except ValueError as error:  # rows of different lengths
        raise InputError(f"leaf: the samples of {where} are not all of one shape.") from error
