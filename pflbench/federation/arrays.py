"""Reading arrays from users and plugins: conversion, and the hash of their content."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pflbench.errors import InputError
from pflbench.schema.error_text import one_line


def as_numpy(value: Any, where: str) -> np.ndarray:
    """Return a numpy view or copy of a numpy array, torch tensor or nested sequence."""
    try:
        if isinstance(value, Tensor):
            plain = value.detach().cpu()
            # numpy has no bfloat16, and float32 holds all of its numbers
            return (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
        if np.ma.is_masked(value):
            raise InputError(
                f"{where} has masked values, which would be taken for samples: expected an array "
                "without a mask."
            )
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:  # rows of different lengths, say
        raise InputError(f"{where} is not an array: {one_line(str(error)).rstrip('.')}.") from error


def to_inputs(x: np.ndarray) -> Tensor:
    """Return inputs as float32, or int64 if they are tokens.

    uint8 is scaled to [0, 1], floating point and tokens keep their values.
    """
    if is_tokens(x):
        return torch.from_numpy(np.array(x, dtype=np.int64, order="C"))
    if x.dtype == np.uint8:
        return torch.from_numpy(np.ascontiguousarray(x)).to(torch.float32).div_(255)
    return torch.from_numpy(np.array(x, dtype=np.float32, order="C"))


def is_tokens(x: np.ndarray) -> bool:
    """Return whether inputs are whole numbers that stand for words, characters or categories."""
    return x.dtype.kind in "iu" and x.dtype != np.uint8


def cast_inputs(x: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return inputs on a device, in a floating type unless they are tokens, which stay int64."""
    return x.to(device, dtype) if x.is_floating_point() else x.to(device)


def to_labels(y: np.ndarray) -> Tensor:
    """Return labels as int64."""
    return torch.from_numpy(np.array(y, dtype=np.int64, order="C"))


class ContentHash:
    """SHA-256 over arrays and values, the same on every machine."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def inputs(self, x: np.ndarray) -> None:
        """Add inputs as the numbers they become: uint8, float32, or int64 of tokens."""
        if is_tokens(x):
            self.integers(x)
            return
        self._array(x if x.dtype == np.uint8 else np.asarray(x, dtype="<f4"))

    def integers(self, values: np.ndarray) -> None:
        """Add integers of any width."""
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
