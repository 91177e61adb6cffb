"""Comparing the tables of two runs that ought to be the same, column by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pflbench.results import StoredRun
from pflbench.results.measures import STAGES

_KEYS = (
    "round",
    "client",
    "other",
    "split",
    "stage",
    "shots",
    "direction",
    "kind",
    "event",
    "class",
    "axis",
)
"""Columns that say which row it is."""

_MEASURED = ("_seconds", "_memory_bytes")
_TIMES = frozenset(("seconds",))
_NAMES = {"clients": ("name",)}
"""Columns of names, which are not results."""

_OF = "samples"
_STEPPED = {"correct": (3.0, False), "ece": (3.0, True)}
"""Columns that move in steps of samples: how many are always allowed, and whether they are shares.
A sample whose top class or calibration bin changes makes such a step."""


@dataclass(frozen=True)
class Difference:
    """How far two tables are apart in one column.

    Attributes
    ----------
    table, column
        Where; the column is "rows" if they have other rows or columns.
    largest
        Of the differences: in samples for `correct` and `ece`; of whole numbers directly; of other
        numbers as a share of the larger of the two and of the column's mean; infinite where
        something is no number.
    where
        The row that differs most, in words: "round 3, client 5, split test".
    here, there
        The value now, and the stored one.
    agrees
        Whether that is within the tolerance.
    """

    table: str
    column: str
    largest: float
    where: str
    here: str
    there: str
    agrees: bool


@dataclass(frozen=True)
class Compared:
    """One table of two runs.

    Attributes
    ----------
    table, rows, columns
        Its name, its rows, and how many columns were compared.
    differences
        The columns that are not the same bit for bit.
    """

    table: str
    rows: int
    columns: int
    differences: tuple[Difference, ...]


def compare_runs(here: StoredRun, there: StoredRun, tolerance: float | None) -> list[Compared]:
    """Compare all tables of two runs, except time and memory.

    Parameters
    ----------
    tolerance
        Differences up to it agree: as a share of a client's samples for `correct` and `ece`, three
        samples at least; relative for other non-integer numbers. Other whole numbers
        and texts must be the same. None: everything must be the same, bit for bit.
    """
    names = {path.stem for run in (here, there) for path in run.folder.glob("[!.]*.parquet")}
    if not (here.has_table(STAGES) and there.has_table(STAGES)):
        names.discard(STAGES)  # runs of earlier versions have none
    return [
        _compared(name, _frame(here, name), _frame(there, name), tolerance)
        for name in sorted(names, key=lambda name: (name != "metrics", name != "rounds", name))
    ]


def compare_summaries(here: Mapping[str, Any], there: Mapping[str, Any]) -> Compared:
    """Compare the headline numbers of two runs, bit for bit."""
    keys = [key for key in {**there, **here} if key not in _TIMES]
    differences = tuple(
        Difference(
            "summary",
            key,
            _apart(here.get(key), there.get(key)),
            "",
            str(here.get(key)),
            str(there.get(key)),
            agrees=False,
        )
        for key in keys
        if repr(here.get(key)) != repr(there.get(key))
    )
    return Compared("summary", 1, len(keys), differences)


def _apart(x: object, y: object) -> float:
    if not (isinstance(x, int | float) and isinstance(y, int | float)) or not max(abs(x), abs(y)):
        return float("inf")
    return abs(x - y) / max(abs(x), abs(y))


def _frame(run: StoredRun, name: str) -> pd.DataFrame:
    return run.table(name) if run.has_table(name) else pd.DataFrame()


def _compared(
    name: str, here: pd.DataFrame, there: pd.DataFrame, tolerance: float | None
) -> Compared:
    measured = [c for c in {*here, *there} if c in _TIMES or str(c).endswith(_MEASURED)]
    measured += _NAMES.get(name, ())
    here, there = (t.drop(columns=measured, errors="ignore") for t in (here, there))
    keys = [key for key in _KEYS if key in there]
    other = _other_rows(name, here, there, keys)
    if other is not None:
        return Compared(name, len(there), len(there.columns), (other,))
    found = (_column(name, str(c), here, there, keys, tolerance) for c in there)
    return Compared(name, len(there), len(there.columns), tuple(d for d in found if d is not None))


def _other_rows(
    name: str, here: pd.DataFrame, there: pd.DataFrame, keys: Sequence[str]
) -> Difference | None:
    """Say that the tables have other columns or rows, if they have."""
    columns = sorted({*map(str, here)} ^ {*map(str, there)})
    if columns:
        what = f"columns {', '.join(columns)}"
        return Difference(name, "rows", float("inf"), what, *_sizes(here, there), agrees=False)
    n = min(len(here), len(there))
    alike = np.ones(n, dtype=bool)
    for key in keys:
        alike &= here[key].to_numpy()[:n] == there[key].to_numpy()[:n]
    if alike.all() and len(here) == len(there):
        return None
    row = n if alike.all() else int(np.argmin(alike))
    longer = there if row < len(there) else here
    return Difference(
        name, "rows", float("inf"), _place(longer, row, keys), *_sizes(here, there), agrees=False
    )


def _sizes(here: pd.DataFrame, there: pd.DataFrame) -> tuple[str, str]:
    return f"{len(here):,} rows", f"{len(there):,} rows"


def _column(
    table: str,
    column: str,
    here: pd.DataFrame,
    there: pd.DataFrame,
    keys: Sequence[str],
    tolerance: float | None,
) -> Difference | None:
    """Compare a column of tables with the same rows; None if it is the same, bit for bit."""
    x, y = here[column].to_numpy(), there[column].to_numpy()
    stepped = column in _STEPPED and _OF in there
    whole = not stepped
    if not all(np.issubdtype(v.dtype, np.number) for v in (x, y)):
        other = ~((x == y) | (pd.isna(x) & pd.isna(y)))
        apart = np.where(other, np.inf, 0.0)
    else:
        whole = whole and all(v.dtype.kind != "f" for v in (x, y))
        apart, other = _numbers(x, y, relative=not (stepped or whole))
    allowed = np.full(len(x), 0.0 if whole else tolerance or 0.0)
    if stepped:
        least, share = _STEPPED[column]
        samples = there[_OF].to_numpy()
        apart = apart * samples if share else apart
        allowed = np.maximum(least, allowed * samples)
    if not other.any():
        return None
    row = int(np.argmax(np.where(other, np.maximum(apart, 1e-300), -1.0)))
    return Difference(
        table,
        column,
        float(apart[row]),
        _place(there, row, keys),
        str(x[row]),
        str(y[row]),
        agrees=tolerance is not None and bool((apart <= allowed).all()),
    )


def _numbers(x: np.ndarray, y: np.ndarray, *, relative: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return how far numbers are apart, and which are not the same; NaN is the same as NaN."""
    other = ~((x == y) | ((x != x) & (y != y)))
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.abs(x.astype(np.float64) - y.astype(np.float64))
        if relative:
            usual = np.abs(y[np.isfinite(y)].astype(np.float64))
            scale = np.maximum(np.abs(x), np.abs(y)).astype(np.float64)
            apart = apart / np.maximum(scale, usual.mean() if len(usual) else 0.0)
    return np.where(other, np.nan_to_num(apart, nan=np.inf, posinf=np.inf), 0.0), other


def _place(frame: pd.DataFrame, row: int, keys: Sequence[str]) -> str:
    return ", ".join(f"{key} {frame[key].iloc[row]}" for key in keys) or f"row {row}"
