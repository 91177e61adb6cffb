"""From data sets of Hugging Face's `datasets` to a data frame, without importing that package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from pflbench.errors import InputError, suggestion
from pflbench.federation.client_names import begin
from pflbench.federation.frames import SPLIT_NAMES

CLIENT: Final = "the client"
SPLIT: Final = "the split"
"""Columns of the data frame, besides those of the data sets."""


def frame_of(
    data: Any, label: str, client: str | None, inputs: Sequence[str] | None
) -> tuple[pd.DataFrame, str | None]:
    """Return all samples with their client (`CLIENT`), and the column of splits or None.

    Parameters
    ----------
    data
        A Dataset, or its splits by name, with a column of clients; or a list of clients, or a
        mapping of their names to clients, each one Dataset or its splits.

    Raises
    ------
    InputError
        It is something else, or a column is missing.
    """
    if is_table(data) or _has_splits(data):
        if client is None:
            raise InputError(
                "client= is missing: expected the column of the data set that names the client of "
                "a sample, or a list with a data set for each client."
            )
        given: list[tuple[Any, Any]] = [(None, data)]
    elif not isinstance(data, Mapping | list | tuple):
        raise _no_table(data, "The data set")
    elif client is not None:
        raise InputError(
            "client= is given with a list of clients: expected one data set with that column."
        )
    else:
        given = list(data.items() if isinstance(data, Mapping) else enumerate(data))
    if not given:
        raise InputError("A federation needs at least one client, and none was given.")
    parts, split = [], [_has_splits(own) for _, own in given]
    if len(set(split)) > 1:
        raise InputError("Some clients have splits and others have none: expected one of the two.")
    for name, own in given:
        where = "the data set" if name is None else f"client {name!r}"
        for key, table in own.items() if split[0] else [(None, own)]:
            frame = _frame(table, label, client, inputs, where)
            frame[CLIENT] = frame.pop(client) if client is not None else name
            if key is not None:
                frame[SPLIT] = key
            parts.append(frame)
    return pd.concat(parts, ignore_index=True), SPLIT if split[0] else None


def is_table(data: Any) -> bool:
    """Return whether a value has the attributes of a Dataset."""
    names = getattr(data, "column_names", None)
    return isinstance(names, list) and hasattr(data, "features") and hasattr(data, "__len__")


def _has_splits(data: Any) -> bool:
    return (
        isinstance(data, Mapping)
        and bool(data)
        and all(key in SPLIT_NAMES and is_table(table) for key, table in data.items())
    )


def _no_table(data: Any, where: str) -> InputError:
    return InputError(
        f"{where} is of type {type(data).__name__}, expected a Dataset of Hugging Face's datasets, "
        "or its splits by name (train, validation, test); of a stream, load the data set without "
        "streaming=True."
    )


def _frame(
    table: Any, label: str, client: str | None, inputs: Sequence[str] | None, where: str
) -> pd.DataFrame:
    """Return the needed columns; images are decoded."""
    if not is_table(table):
        raise _no_table(table, begin(where))
    names = table.column_names
    known = [label] if client is None else [label, client]
    if isinstance(inputs, str):
        inputs = [inputs]
    wanted = [*known, *(inputs if inputs is not None else (n for n in names if n not in known))]
    for name in wanted:
        if name not in names:
            raise InputError(f"There is no column {name!r} in {where}.{suggestion(name, names)}")
    return pd.DataFrame({name: _column(table, name) for name in wanted})


def _column(table: Any, name: str) -> pd.Series:
    cells = [cell.item() if getattr(cell, "shape", None) == () else cell for cell in table[name]]
    feature = table.features.get(name)
    classes = getattr(feature, "names", None)
    if classes is not None and all(isinstance(cell, int) for cell in cells):
        return pd.Series(pd.Categorical.from_codes(np.asarray(cells, np.int64), pd.Index(classes)))
    if cells and isinstance(cells[0], bool | int | float | str):
        return pd.Series(cells)
    made = np.empty(len(cells), dtype=object)
    for i, cell in enumerate(cells):
        made[i] = cell
    return pd.Series(made)
