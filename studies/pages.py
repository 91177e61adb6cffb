"""Pages whose tables are written from stored runs: functions that studies share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from pflbench.report.tables.entries import percent


def mean(values: Iterable[float | None]) -> float:
    """Return the mean; never over a part of the values.

    Raises
    ------
    ValueError
        A value is missing, or `values` is empty.
    """
    known = list(values)
    if not known or None in known:
        raise ValueError(f"expected every value to be known, got {known}")
    return float(np.mean(np.array(known, dtype=np.float64)))


def points(value: float, *, sign: bool = False) -> str:
    """Write a share of one in percentage points."""
    return percent(value, digits=1, sign=sign)


def spread(values: Iterable[float | None], *, sign: bool = False) -> str:
    """Write the mean over seeds and the standard deviation, in percentage points."""
    known = list(values)
    average = points(mean(known), sign=sign)
    if len(known) < 2:
        return average
    return f"{average} ± {points(float(np.std(np.array(known, dtype=np.float64), ddof=1)))}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, whose first column is text."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def filled(text: str, tables: Mapping[str, Callable[[], str]]) -> str:
    """Return a page with the tables between its marks rewritten."""

    def written(match: re.Match[str]) -> str:
        name = match[1]
        return f"<!-- table: {name} -->\n\n{tables[name]()}\n\n<!-- /table -->"

    return re.sub(r"<!-- table: (\w+) -->.*?<!-- /table -->", written, text, flags=re.DOTALL)
