"""From data sets of torch to arrays: every sample is read once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from pflbench.errors import InputError
from pflbench.federation.arrays import as_numpy
from pflbench.federation.cells import stacked
from pflbench.federation.client_names import begin
from pflbench.federation.frames import FEWEST
from pflbench.federation.holdout import for_test
from pflbench.federation.splits import SPLITS

_AGAIN: Final = 8
"""Samples that are read a second time."""


def is_dataset(value: object) -> bool:
    """Return whether a value is a data set of torch, or has the methods of one."""
    if isinstance(value, list | tuple | np.ndarray | Tensor | Mapping | str):
        return False
    return isinstance(value, Dataset) or (
        hasattr(value, "__getitem__") and hasattr(value, "__len__")
    )


def read_samples(data: Any, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the inputs [n, *shape] and labels [n] of a data set of torch, or of a pair of arrays.

    Images of Pillow become [channels, height, width] of bytes.

    Raises
    ------
    InputError
        A sample is no pair (x, y), or changes from one look to the next.
    """
    if isinstance(data, TensorDataset):
        data = data.tensors
    if isinstance(data, tuple | list) and len(data) == 2:
        return as_numpy(data[0], f"x of {where}"), as_numpy(data[1], f"y of {where}")
    if isinstance(data, IterableDataset) or not is_dataset(data):
        raise InputError(
            f"{begin(where)} is of type {type(data).__name__}, expected a torch Dataset with a "
            "length, or the pair of its arrays (x, y)."
        )
    samples = [data[i] for i in range(len(data))]
    for i, sample in enumerate(samples):
        if not isinstance(sample, tuple | list) or len(sample) != 2:
            raise InputError(
                f"Sample {i} of {where} is of type {type(sample).__name__}, expected a pair (x, y)."
            )
    if not samples:
        raise InputError(f"There are no samples in {where}.")
    x = stacked([x for x, _ in samples], where)
    y = as_numpy([int(y) if _is_whole(y) else y for _, y in samples], f"The labels of {where}")
    again = stacked([data[i][0] for i in range(min(_AGAIN, len(samples)))], where)
    if again.shape[1:] != x.shape[1:] or not np.array_equal(again, x[: len(again)], equal_nan=True):
        raise InputError(
            f"The samples of {where} change from one look to the next, as by a transform that "
            "draws at random: expected the same samples each time. Leave that transform out."
        )
    return x, y


def _is_whole(y: Any) -> bool:
    """Return whether a label is a whole number, perhaps in a tensor or array of one."""
    return bool(np.ndim(y) == 0 and np.asarray(y).dtype.kind in "iu")


def read_clients(clients: Any) -> Any:
    """Return clients of torch's data sets as `Federation.from_arrays` takes them.

    A client is one data set, of which a fifth is for test, or its splits.
    """
    if is_dataset(clients) or isinstance(clients, Tensor | np.ndarray | str):
        raise InputError(
            f"A {type(clients).__name__} was given where a list of clients was expected, or a "
            "mapping of their names to clients: Federation.from_pool(dataset, partition) divides "
            "one data set among clients."
        )
    if isinstance(clients, Mapping):
        return {name: _client(own, f"client {name!r}") for name, own in clients.items()}
    return [_client(own, f"client {i}") for i, own in enumerate(clients)]


def _client(own: Any, who: str) -> dict[str, Any]:
    if isinstance(own, Mapping):
        return {
            split: read_samples(data, f"{split} of {who}") if split in SPLITS else data
            for split, data in own.items()
        }
    x, y = read_samples(own, who)
    return split_off_test(x, y, who)


def split_off_test(x: np.ndarray, y: np.ndarray, who: str) -> dict[str, Any]:
    """Return a client's samples in training and test: a fifth, stratified by class, is for test.

    Raises
    ------
    InputError
        There are fewer than three, or the labels are no whole numbers from 0.
    """
    if len(y) < FEWEST:
        raise InputError(
            f"{begin(who)} has {len(y)} sample{'' if len(y) == 1 else 's'}, expected {FEWEST} or "
            "more, for training, validation and test."
        )
    if y.ndim != 1 or y.dtype.kind not in "iu" or y.min() < 0 or len(x) != len(y):
        return {"train": (x, y), "test": (x, y)}  # the common checks say what is wrong
    held = for_test(y)
    return {"train": (x[~held], y[~held]), "test": (x[held], y[held])}
