"""From a table's columns to inputs and labels: numbers, categories, what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from pflbench.errors import InputError
from pflbench.federation.client_names import natural_order, shown
from pflbench.federation.label_names import MOST, listed_names, no_classes, numbered_labels


@dataclass(frozen=True)
class Column:
    """One column as numbers.

    Attributes
    ----------
    values
        [n, width] numbers.
    remark
        What was made of it, or "".
    """

    values: np.ndarray
    remark: str = ""


def check_missing(table: Any, names: Sequence[str], refuse: Callable[[str], InputError]) -> None:
    """Check that no cell of these columns is missing.

    Raises
    ------
    InputError
        Some are; the message has each such column, how many cells, and the first row (from 1).
    """
    found = []
    for name in names:
        column = table.column(name)
        absent = column.is_null(nan_is_null=pa.types.is_floating(column.type))
        count = int(pyarrow.compute.sum(absent).as_py() or 0)
        if count:
            row = int(pyarrow.compute.index(absent, pa.scalar(True)).as_py()) + 1
            found.append(f"{count:,} in {name!r} (first in row {row:,})")
    if found:
        more = f", and {len(found) - 5:,} more columns" if len(found) > 5 else ""
        raise refuse(
            f"values are missing, {', '.join(found[:5])}{more}: fill or drop these rows, or leave "
            "a column out with skip=NAME"
        )


def is_text(column: Any) -> bool:
    """Return whether a column holds texts, or categories of them."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def feature(name: str, column: Any, category: bool, refuse: Callable[[str], InputError]) -> Column:
    """Return a column as inputs: numbers as they are, categories one-hot, lists side by side.

    Parameters
    ----------
    category
        Whether its numbers are categories.
    """
    kind = column.type
    if is_text(column) or category:
        names, numbers = numbered(name, column, refuse)
        if len(names) > MOST:
            raise refuse(
                f"{name!r} holds {len(names):,} different values, more than {MOST} categories: "
                f"skip={name} leaves it out"
            )
        values = np.zeros((len(numbers), len(names)), np.float32)
        values[np.arange(len(numbers)), numbers] = 1
        return Column(values, f"Column {name!r} is one-hot: {listed_names(names)}.")
    if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return Column(_lists(name, column, refuse))
    return Column(_number(name, column, refuse)[:, None])


def numbered(
    name: str, column: Any, refuse: Callable[[str], InputError]
) -> tuple[list[str], np.ndarray]:
    """Return a column's different values, in order, and the number [n] of each cell's.

    Whole numbers are in their order, texts in natural order.
    """
    kind = column.type
    if is_text(column):
        encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
        found = [str(value) for value in encoded.dictionary.to_pylist()]
        order = sorted(range(len(found)), key=lambda i: natural_order(found[i]))
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        return [found[i] for i in order], place[encoded.indices.to_numpy()]
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    values = _number(name, column, refuse, np.float64)
    if pa.types.is_integer(column.type):
        values = column.to_numpy()
    elif not bool((values == np.floor(values)).all()):
        raise refuse(
            f"{name!r} holds fractions, such as {values[values != np.floor(values)][0]:g}: "
            "expected classes or categories, texts or whole numbers (there is no regression)"
        )
    distinct, numbers = np.unique(values, return_inverse=True)
    return [f"{value:g}" if values.dtype.kind == "f" else str(value) for value in distinct], numbers


def labels(
    name: str, column: Any, refuse: Callable[[str], InputError]
) -> tuple[np.ndarray, int, str]:
    """Return labels [n] from 0, the number of classes, and what they were numbered from, or ""."""
    names, numbers = numbered(name, column, refuse)
    if len(names) < 2:
        raise refuse(
            f"all labels in {name!r} are {shown(names[0])!r}: expected two classes or more"
        )
    why = no_classes(len(names), len(numbers))
    if why:
        raise refuse(f"{name!r} {why}")
    return numbers.astype(np.int64), len(names), numbered_labels(names, repr(name))


def _number(
    name: str, column: Any, refuse: Callable[[str], InputError], dtype: Any = np.float32
) -> np.ndarray:
    kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise refuse(
            f"{name!r} is of type {kind}: expected numbers, truth values or texts; skip={name} "
            "leaves it out"
        )
    with np.errstate(over="ignore"):
        values = np.asarray(column.to_numpy()).astype(dtype)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0]) + 1
        raise refuse(f"{name!r} is infinite as {np.dtype(dtype)} in row {row:,}")
    return values


def _lists(name: str, column: Any, refuse: Callable[[str], InputError]) -> np.ndarray:
    """Return lists of numbers, all of one length, as [n, length]."""
    whole = column.combine_chunks()
    if whole.type.num_fields != 1 or not (
        pa.types.is_integer(whole.type.value_type) or pa.types.is_floating(whole.type.value_type)
    ):
        raise refuse(f"{name!r} is of type {column.type}: expected lists of numbers")
    if pa.types.is_fixed_size_list(whole.type):
        width = whole.type.list_size
    else:
        lengths = pyarrow.compute.list_value_length(whole).unique().to_pylist()
        if len(lengths) != 1:
            raise refuse(f"{name!r} holds lists of different lengths, such as {lengths[:2]}")
        width = int(lengths[0])
    flat = whole.flatten()
    if flat.null_count:
        raise refuse(f"{name!r} holds lists with missing values")
    return np.asarray(flat.to_numpy(zero_copy_only=False).reshape(len(whole), width))
