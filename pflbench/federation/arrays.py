"""Reading arrays that someone else made: checks, conversion, and the hash of their content."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pflbench.errors import InputError


def as_numpy(value: Any, where: str) -> np.ndarray:
    """Return a numpy view or copy of a numpy array, torch tensor or nested sequence."""
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy()
    try:
        return np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise InputError(f"{where} is not an array: {error}.") from error


def check_inputs(x: np.ndarray, where: str) -> None:
    """Check that x is [n, *shape] with n >= 1, uint8 or finite floating point.

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
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        raise InputError(
            f"{where} has values of type {x.dtype}, expected uint8 (0 to 255) or floating point."
        )
    if x.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            # what is not finite makes the sum so, without a mask of the size of the data
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
            f"{where} has shape {y.shape}, expected one {what} for each of {samples} samples."
        )
    if y.dtype.kind not in "iu":
        raise InputError(f"{where} has values of type {y.dtype}, expected whole numbers.")
    low, high = int(y.min()), int(y.max())
    if low < 0 or (classes is not None and high >= classes):
        top = " or more" if classes is None else f" to {classes - 1}"
        raise InputError(f"{where} has the {what} {low if low < 0 else high}, expected 0{top}.")


def to_inputs(x: np.ndarray) -> Tensor:
    """Return inputs as float32: uint8 is scaled to [0, 1], floating point is taken as it is."""
    if x.dtype == np.uint8:
        return torch.from_numpy(np.ascontiguousarray(x)).to(torch.float32).div_(255)
    return torch.from_numpy(np.array(x, dtype=np.float32, order="C"))


def to_labels(y: np.ndarray) -> Tensor:
    """Return labels as int64."""
    return torch.from_numpy(np.array(y, dtype=np.int64, order="C"))


class ContentHash:
    """SHA-256 over arrays and values, the same on every machine."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def inputs(self, x: np.ndarray) -> None:
        """Add inputs as the numbers they become: uint8, or float32."""
        self._array(x if x.dtype == np.uint8 else np.asarray(x, dtype="<f4"))

    def integers(self, values: np.ndarray) -> None:
        """Add integers, whatever their width."""
        self._array(np.asarray(values, dtype="<i8"))

    def value(self, value: object) -> None:
        """Add a number, a text, a tuple of them, or None."""
        self._hash.update(repr(value).encode())

    def hexdigest(self) -> str:
        """Return the hash in hex."""
        return self._hash.hexdigest()

    def _array(self, a: np.ndarray) -> None:
        # dtype and shape go in first, so that no two different arrays are the same bytes
        self._hash.update(f"{a.dtype.str}{a.shape}".encode())
        self._hash.update(np.ascontiguousarray(a).reshape(-1).view(np.uint8).data)
