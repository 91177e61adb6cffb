"""A record of a network's content besides its layers' code, to detect changes."""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import CellType, FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter
from torch.utils.hooks import RemovableHandle

_DEPTH = 4
"""Objects within objects that are looked into."""

_OWN = frozenset(vars(nn.Module())) - {"training"}
"""Attributes of every module: its parameters, layers and hooks."""

_ADDRESS = re.compile("0x[0-9a-f]+")


@dataclass(frozen=True, eq=False)
class Contents:
    """Parameters, buffers and attributes of a network, copied.

    Attributes
    ----------
    values
        By name: "layer.weight".
    """

    values: Mapping[str, Any]

    @staticmethod
    def of(module: nn.Module) -> Contents:
        """Record a network's content."""
        return Contents(dict(_of(module)))


def difference(a: Contents, b: Contents) -> str | None:
    """Return the name of the first thing in which two differ, or None if they do not."""
    names = [*a.values, *(name for name in b.values if name not in a.values)]
    for name in names:
        if name not in a.values or name not in b.values:
            return name
        if not _same(a.values[name], b.values[name]):
            return name
    return None


def _of(module: nn.Module) -> Iterator[tuple[str, Any]]:
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        yield name, _taken(tensor, 0)
    for path, layer in module.named_modules():
        for name, value in vars(layer).items():
            if name not in _OWN and name != "training":
                yield f"{path}.{name}" if path else name, _taken(value, 0)


def _taken(value: Any, depth: int) -> Any:
    """Return a copy of a value, only of the parts that `_same` compares."""
    if isinstance(value, Tensor):
        if value.is_meta or isinstance(value, UninitializedParameter | UninitializedBuffer):
            return str(value.dtype)
        return value.detach().clone()
    if isinstance(value, np.ndarray):
        return value.copy() if value.dtype != object else repr(value)
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, np.random.Generator):
        return _taken(value.bit_generator.state, depth + 1)
    if isinstance(value, np.random.RandomState | random.Random):
        state = value.get_state() if isinstance(value, np.random.RandomState) else value.getstate()
        return _taken(state, depth + 1)
    if value is None or isinstance(value, int | float | complex | str | bytes):
        return value
    if depth > _DEPTH or isinstance(value, nn.Module | RemovableHandle | type):
        return type(value).__name__  # layers are recorded separately
    if isinstance(value, list | tuple | deque):
        return [_taken(one, depth + 1) for one in value]
    if isinstance(value, Mapping):
        return {str(key): _taken(one, depth + 1) for key, one in value.items()}
    if isinstance(value, FunctionType):
        return [_taken(_content(cell), depth + 1) for cell in value.__closure__ or ()]
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    if hasattr(value, "__dict__"):
        return {name: _taken(one, depth + 1) for name, one in vars(value).items()}
    return _ADDRESS.sub("", repr(value))


def _content(cell: CellType) -> Any:
    """Return the value of a function's enclosing variable, if it is set."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        return bool(torch.equal(a, b) or torch.equal(a.nan_to_num(), b.nan_to_num()))
    if isinstance(a, np.ndarray):
        return a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(one, b[key]) for key, one in a.items())
    return bool(a == b or (a != a and b != b))
