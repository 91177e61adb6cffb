"""The one grammar of numbers: on the command line, in files, from Python.

A number is written as Python writes it: `10`, `+1`, `1_000`, `.1`, `1.`, `1e-3`, with spaces around
it or none. NaN and infinity are no numbers, nor is a truth value.
"""

from __future__ import annotations

import numbers
import re
from decimal import Decimal
from math import isfinite, isinf
from typing import Any, Final

_DIGITS = r"[0-9]+(?:_[0-9]+)*"
_WHOLE = re.compile(rf"[+-]?{_DIGITS}")
_NUMBER = re.compile(rf"[+-]?(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?")

MOST: Final = 2**63
"""Whole numbers are smaller than it, as files and tables hold them."""


def plain_value(value: Any) -> Any:
    """Return a scalar of NumPy or PyTorch as a Python number; any other value unchanged."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return value


def number_of(value: Any) -> int | float | None:
    """Return the finite number that a text or a value is, None if it is none."""
    value = plain_value(value)
    if isinstance(value, str):
        text = value.strip()
        if _WHOLE.fullmatch(text) and len(text) < 1000:
            return int(text)
        found = float(text) if _NUMBER.fullmatch(text) else None
    elif isinstance(value, bool):
        found = None
    elif isinstance(value, numbers.Integral):
        return int(value)
    elif isinstance(value, numbers.Real):
        found = float(value)
    else:
        found = None
    return found if found is not None and isfinite(found) else None


def whole_of(value: Any) -> int | None:
    """Return the whole number that a text or a value is, None if it is none.

    A whole number may be written as any number: `1e3`, `10.0`.
    """
    found = number_of(value)
    if found is None or not -MOST < found < MOST:
        return None
    if isinstance(found, float):
        if not found.is_integer():
            return None
        # A text's digits, which a float may have rounded.
        exact = Decimal(value.strip()) if isinstance(value, str) else Decimal(found)
        return int(exact) if exact == int(exact) else None
    return found


def is_infinite(value: Any) -> bool:
    """Return whether a text or a value is an infinite number."""
    try:
        return isinf(float(value))
    except (TypeError, ValueError, OverflowError):
        return False
