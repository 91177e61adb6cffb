"""From the samples of one column or data set, which come one by one, to arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pflbench.errors import InputError
from pflbench.federation.arrays import as_numpy
from pflbench.federation.client_names import begin, natural_order
from pflbench.federation.label_names import no_classes, numbered_labels


def stacked(cells: Sequence[Any], where: str) -> np.ndarray:
    """Return samples as one array [n, *shape]: numbers, arrays, or images of Pillow.

    Images become [channels, height, width] of bytes.

    Raises
    ------
    InputError
        A sample is none of these, or not of the first one's shape.
    """
    arrays = [_sample(cell, f"Sample {i} of {where}") for i, cell in enumerate(cells)]
    for i, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise InputError(
                f"Sample {i} of {where} has shape {array.shape}, expected {arrays[0].shape} as of "
                "the first sample."
            )
    return np.stack(arrays) if arrays else np.zeros((0, 1), np.float32)


def _sample(cell: Any, where: str) -> np.ndarray:
    if callable(getattr(cell, "convert", None)) and hasattr(cell, "getbands"):
        return _image(cell)
    array = as_numpy(cell, where)
    if array.dtype == object:  # lists of arrays, as Arrow stores nested lists
        array = as_numpy(_plain(cell), where)
    if array.dtype.kind not in "iufb":
        raise InputError(
            f"{where} is of type {type(cell).__name__}, expected numbers, an array or an image."
        )
    return array.astype(np.float32) if array.dtype.kind == "b" else array


def _plain(cell: Any) -> Any:
    """Return nested arrays as nested lists."""
    if isinstance(cell, np.ndarray | list | tuple):
        return [_plain(inner) for inner in cell]
    return cell


def _image(picture: Any) -> np.ndarray:
    """Return an image of Pillow as [channels, height, width]: bytes, but of 16 bits or more."""
    if picture.mode.startswith(("I", "F")):
        return np.asarray(picture).astype(np.float32)[None]
    if picture.mode in ("1", "L", "LA"):
        return np.asarray(picture.convert("L"), np.uint8)[None]
    return np.asarray(picture.convert("RGB"), np.uint8).transpose(2, 0, 1)


def read_labels(
    column: pd.Series, where: str, classes: int | None = None
) -> tuple[np.ndarray, int | None, str]:
    """Return labels [n], the number of classes if the column has it, and a remark or "".

    Whole numbers from 0 without gaps stay as they are. Categories are numbered in their order,
    also those without samples; other whole numbers in their order, texts in natural order. With a
    number of `classes` whole numbers stay as they are.

    Raises
    ------
    InputError
        They are no classes: fractions, dates, or almost as many as samples.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        names = [str(name) for name in column.cat.categories]
        return (
            column.cat.codes.to_numpy().astype(np.int64),
            len(names),
            numbered_labels(names, where),
        )
    kind = column.dtype
    if pd.api.types.is_bool_dtype(kind):
        return column.to_numpy().astype(np.int64), 2, numbered_labels(["False", "True"], where)
    if pd.api.types.is_numeric_dtype(kind):
        values = column.to_numpy()
        if values.dtype.kind == "f":
            parts = values[~np.isfinite(values) | (values != np.floor(values))]
            if len(parts):
                raise InputError(
                    f"{begin(where)} holds fractions, such as {parts[0]:g}: expected classes, "
                    "texts or whole numbers (there is no regression)."
                )
        if classes is not None:
            return values.astype(np.int64), classes, ""
        distinct, numbers = np.unique(values.astype(np.int64), return_inverse=True)
        names = [str(value) for value in distinct]
    else:
        texts = column.to_numpy(dtype=object)
        if not all(isinstance(value, str) for value in texts):
            raise InputError(f"{begin(where)} is of type {kind}, expected texts or whole numbers.")
        codes, found = pd.factorize(texts)
        order = sorted(range(len(found)), key=lambda i: natural_order(str(found[i])))
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        numbers, names = place[codes], [str(found[i]) for i in order]
    why = no_classes(len(names), len(numbers))
    if why:
        raise InputError(f"{begin(where)} {why}.")
    return numbers.astype(np.int64), None, numbered_labels(names, where)
