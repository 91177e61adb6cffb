"""The checks of arrays from users and plugins: the same for every source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from pflbench.errors import InputError
from pflbench.federation.arrays import is_tokens

_LARGEST: Final = int(np.iinfo(np.int32).max)
"""The largest label."""

_TOKENS: Final = 3
"""Dimensions of an array of tokens at most: more are those of images."""

NUMBERED: Final = "np.unique(y, return_inverse=True)[1] numbers classes so"
"""The way out for labels that are not 0, 1, 2, ..."""


def check_inputs(x: np.ndarray, where: str) -> None:
    """Check that x is [n, *shape] with n >= 1, uint8, finite floating point, or tokens.

    Raises
    ------
    InputError
        It is something else; the message says what.
    """
    if x.ndim < 2:
        raise InputError(
            f"{where} has shape {x.shape}, expected [samples, ...] with at least two dimensions."
        )
    if x.size == 0:
        raise InputError(f"{where} has shape {x.shape}: it is empty, expected a sample or more.")
    if is_tokens(x) and x.ndim <= _TOKENS:
        if int(x.min()) < 0 or int(x.max()) > _LARGEST:
            raise InputError(
                f"{where} has values of type {x.dtype}, which are tokens, and one is "
                f"{int(x.min()) if int(x.min()) < 0 else int(x.max())}: expected 0 to {_LARGEST}, "
                "or floating point: x.astype(np.float32) keeps the numbers as they are."
            )
        return
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        kept = ": x.astype(np.float32) keeps the numbers as they are"
        way = kept if x.dtype.kind in "iub" else ""
        raise InputError(
            f"{where} has values of type {x.dtype}, expected uint8 (pixels from 0 to 255, which "
            f"are scaled to [0, 1]), floating point, or tokens [samples, length]{way}."
        )
    if x.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            # a non-finite value makes the sum non-finite, without a mask of the size of the data
            total = x.astype(np.float32, copy=False).sum(dtype=np.float64)
        if not np.isfinite(total):
            raise InputError(f"{where} has values that are NaN, or infinite as float32.")


def check_labels(
    y: np.ndarray, samples: int, classes: int | None, where: str, *, what: str = "label"
) -> None:
    """Check that y is [samples] integers of 0 to classes - 1.

    Raises
    ------
    InputError
        It is something else; the message says what.
    """
    if y.ndim != 1 or len(y) != samples:
        raise InputError(
            f"{where} has shape {y.shape}, expected one {what} for each of {samples:,} samples"
            f"{_flatter(y, samples)}."
        )
    if y.dtype.kind not in "iu":
        raise InputError(
            f"{where} has values of type {y.dtype}, expected whole numbers{_whole(y)}."
        )
    low, high = int(y.min()), int(y.max())
    top = _LARGEST if classes is None else classes - 1
    if low < 0 or high > top:
        expected = "0 or more" if classes is None and low < 0 else f"0 to {top}"
        way = f" ({NUMBERED})" if classes is None else ""
        raise InputError(
            f"{where} has the {what} {low if low < 0 else high}, expected {expected}{way}."
        )


def check_alike(inputs: Iterable[tuple[str, np.ndarray]]) -> None:
    """Check that all inputs have samples of one shape and one kind: bytes, tokens, other numbers.

    Parameters
    ----------
    inputs
        Each array with its name.

    Raises
    ------
    InputError
        One differs from the first; the message names both.
    """
    first: tuple[str, np.ndarray] | None = None
    for where, x in inputs:
        first = first or (where, x)
        like, known = first
        if x.shape[1:] != known.shape[1:]:
            raise InputError(
                f"{where} holds samples of shape {x.shape[1:]}, expected {known.shape[1:]} as in "
                f"{like}."
            )
        if _kind(x) != _kind(known):
            raise InputError(
                f"{where} is of type {x.dtype}, but {like} of {known.dtype}: expected uint8, which "
                "is scaled to [0, 1], floating point, which is used unchanged, or tokens in both."
            )


def _kind(x: np.ndarray) -> str:
    return "tokens" if is_tokens(x) else "bytes" if x.dtype == np.uint8 else "numbers"


def count_classes(labels: Sequence[np.ndarray], where: str) -> int:
    """Return the number of classes, all of which must occur.

    Raises
    ------
    InputError
        A number in between is not a label, or only one class exists.
    """
    present = np.unique(np.concatenate([np.unique(y) for y in labels]))
    classes = int(present[-1]) + 1
    if len(present) < classes:
        absent = int(np.flatnonzero(present != np.arange(len(present)))[0])
        raise InputError(
            f"No label in {where} is {absent}, but one is {classes - 1}: number the classes from 0 "
            f"without gaps ({NUMBERED})."
        )
    if classes < 2:
        raise InputError(f"All labels in {where} are 0: expected two classes or more.")
    return classes


def _flatter(y: np.ndarray, samples: int) -> str:
    """Say how labels [n, 1] and one-hot labels [n, C] become labels [n]."""
    if y.ndim != 2 or len(y) != samples:
        return ""
    if y.shape[1] == 1:
        return ": y.reshape(-1) has that shape"
    return ": y.argmax(axis=1) makes them of one-hot labels"


def _whole(y: np.ndarray) -> str:
    """Explain how labels of another type become whole numbers."""
    if y.dtype.kind == "b" or (y.dtype.kind == "f" and bool((y == np.floor(y)).all())):
        return ": y.astype(np.int64) makes them"
    return f" ({NUMBERED})" if y.dtype.kind in "US" else ""
