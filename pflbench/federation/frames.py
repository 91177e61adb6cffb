"""From a data frame, whose rows name their clients, to each client's arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from pflbench.errors import InputError, suggestion
from pflbench.federation.cells import read_labels, stacked
from pflbench.federation.client_names import begin, shown
from pflbench.federation.holdout import for_test
from pflbench.federation.splits import SPLITS

SPLIT_NAMES: Final = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
"""How splits are called, and their names here."""

FEWEST: Final = 3
"""Samples of a client at least, from which its three splits are taken."""


@dataclass(frozen=True)
class FrameClients:
    """A data frame's clients.

    Attributes
    ----------
    clients
        Arrays by client, as `Federation.from_arrays` takes them.
    classes
        Number of classes, if the labels' column has it.
    remark
        What was made of the columns, or "".
    """

    clients: Mapping[Any, Mapping[str, np.ndarray]]
    classes: int | None
    remark: str


def clients_of_frame(
    frame: Any,
    label: str,
    client: str,
    split: str | None,
    inputs: Sequence[str] | None,
    classes: int | None,
) -> FrameClients:
    """Return the clients of a data frame; see `Federation.from_frame`.

    Raises
    ------
    InputError
        A column is not as it must be; the message names it.
    """
    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"Expected a pandas DataFrame, not of type {type(frame).__name__}.")
    known = [label, client] if split is None else [label, client, split]
    chosen = _columns(frame, known, inputs)
    if frame.empty:
        raise InputError("The data frame has no rows.")
    _check_missing(frame, [*known, *chosen])
    y, told, remark = read_labels(frame[label], f"column {label!r}", classes)
    x = _inputs(frame, chosen)
    parts = _rows_by_client(frame[client], client)
    if split is None:
        held = _held_out(y, parts)
        where = np.where(held, "test", "train")
        remark = " ".join(filter(None, (remark, HELD_OUT)))
    else:
        where = _splits(frame[split], split)
    clients: dict[Any, Mapping[str, np.ndarray]] = {}
    for name, rows in parts.items():
        own: dict[str, np.ndarray] = {}
        for part in SPLITS:
            index = rows[where[rows] == part]
            if len(index):
                own[f"{part}_x"], own[f"{part}_y"] = x[index], y[index]
        clients[name] = own
    return FrameClients(clients, classes or told, remark)


HELD_OUT: Final = (
    "No test split was given: a fifth of each client's samples, stratified by class, is used for "
    "it."
)


def _columns(frame: pd.DataFrame, known: list[str], inputs: Sequence[str] | None) -> list[str]:
    columns = list(frame.columns)
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise InputError(f"Two columns are called {twice!r}: expected a name for each.")
    if isinstance(inputs, str):
        inputs = [inputs]
    for name in (*known, *(inputs or ())):
        if name not in columns:
            raise InputError(
                f"There is no column {name!r}.{suggestion(str(name), map(str, columns))}"
            )
    chosen = [name for name in columns if name not in known] if inputs is None else list(inputs)
    if len({*known, *chosen}) < len(known) + len(chosen):
        raise InputError(
            "A column has two roles: expected one each of label, client, split and inputs."
        )
    if not chosen:
        raise InputError("No column is left for the inputs.")
    return chosen


def _check_missing(frame: pd.DataFrame, names: Sequence[str]) -> None:
    found = []
    for name in names:
        absent = frame[name].isna().to_numpy()
        if absent.any():
            first = int(absent.argmax())
            found.append(f"{int(absent.sum()):,} in {name!r} (first in row {first:,}, from 0)")
    if found:
        more = f", and {len(found) - 5:,} more columns" if len(found) > 5 else ""
        raise InputError(
            f"Values are missing, {', '.join(found[:5])}{more}: fill or drop these rows, or name "
            "the columns to use with inputs=[...]."
        )


def _inputs(frame: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    made = [_input(frame[name], name) for name in names]
    if len(made) == 1:
        return made[0]
    flat = [values.reshape(len(values), -1).astype(np.float32) for values in made]
    return np.concatenate(flat, axis=1)


def _input(column: pd.Series, name: str) -> np.ndarray:
    """Return a column as inputs [n, *shape]; a column of single numbers is [n, 1] float32."""
    kind = column.dtype
    if pd.api.types.is_bool_dtype(kind) or (
        pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_complex_dtype(kind)
    ):
        with np.errstate(over="ignore"):  # infinite values are refused later
            return np.asarray(column.to_numpy(dtype=np.float32))[:, None]
    first = column.iloc[0]
    if not pd.api.types.is_object_dtype(kind) or isinstance(first, str | bytes):
        what = "texts" if isinstance(first, str) else f"values of type {kind}"
        raise InputError(
            f"Column {name!r} holds {what}, expected numbers, arrays or images: "
            f"pandas.get_dummies(frame, columns=[{name!r}], dtype=float) makes numbers of "
            "categories, and inputs=[...] names the columns to use."
        )
    values = stacked(column.tolist(), f"column {name!r}")
    return values.astype(np.float32)[:, None] if values.ndim == 1 else values


def _rows_by_client(column: pd.Series, name: str) -> dict[Any, np.ndarray]:
    kind = column.dtype
    whole = pd.api.types.is_integer_dtype(kind)
    names = column.to_numpy(dtype=object)
    if not whole and not all(isinstance(value, str) for value in names):
        raise InputError(
            f"Clients in column {name!r} are of type {kind}, expected texts or whole numbers."
        )
    codes, found = pd.factorize(names)
    order = np.argsort(codes, kind="stable")
    parts = np.split(order, np.searchsorted(codes[order], np.arange(1, len(found))))
    return {int(n) if whole else n: part for n, part in zip(found, parts, strict=True)}


def _held_out(y: np.ndarray, parts: Mapping[Any, np.ndarray]) -> np.ndarray:
    owner = np.empty(len(y), np.int64)
    for number, (name, rows) in enumerate(parts.items()):
        if len(rows) < FEWEST:
            raise InputError(
                f"{begin('client')} {shown(str(name))!r} has {len(rows)} "
                f"row{'' if len(rows) == 1 else 's'}, expected {FEWEST} or more, for training, "
                "validation and test."
            )
        owner[rows] = number
    return for_test(y, owner)


def _splits(column: pd.Series, name: str) -> np.ndarray:
    names = [str(value) for value in column]
    for value in names:
        if value not in SPLIT_NAMES:
            raise InputError(
                f"Column {name!r} holds {shown(value)!r}, expected train, val or test."
            )
    return np.array([SPLIT_NAMES[value] for value in names])
