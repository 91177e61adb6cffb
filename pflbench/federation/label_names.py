"""Labels that are numbered: how many names are classes, and the sentence on their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pflbench.federation.client_names import shown

MOST: Final = 256
"""Different values that are categories in any case."""

_SHOWN: Final = 20
"""Names that a remark gives."""


def no_classes(names: int, rows: int) -> str:
    """Return why a number of different values are no classes, or ""."""
    if names <= max(MOST, rows // 2):
        return ""
    return f"holds {names:,} different values in {rows:,} rows: these are no classes"


def numbered_labels(names: Sequence[str], where: str) -> str:
    """Return what labels were numbered from, or "" if their names are their numbers."""
    if list(names) == [str(i) for i in range(len(names))]:
        return ""
    return f"The labels of {where} are numbered: {listed_names(names)}."


def listed_names(names: Sequence[str]) -> str:
    """Return the first names, each with its number."""
    some = ", ".join(f"{i} = {shown(name)!r}" for i, name in enumerate(names[:_SHOWN]))
    return some if len(names) <= _SHOWN else f"{some}, ... ({len(names):,} in this order)"
