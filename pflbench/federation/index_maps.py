"""Partitions that are given as indices: which samples of a pool each client has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from pflbench.errors import InputError, UnknownNameError
from pflbench.federation.allocation import Indices, by_client, deal, owners_of, repair
from pflbench.federation.arrays import as_numpy
from pflbench.federation.checks import check_inputs, check_labels
from pflbench.federation.client_names import begin, client_words
from pflbench.federation.clients import in_order
from pflbench.federation.splits import SPLIT_WORDS, SPLITS, Split
from pflbench.federation.torch_datasets import read_samples, split_off_test
from pflbench.schema.error_text import one_line
from pflbench.schema.paths import read_text

_EXPECTED = "a list of its samples' indices, or lists by split (train, val, test)"


@dataclass(frozen=True)
class IndexMap:
    """The indices of each client's samples.

    Attributes
    ----------
    parts
        For each client its indices by split: train, perhaps val, and test of all or of none.
    names
        The clients' names, or None.
    """

    parts: Sequence[Mapping[Split, Indices]]
    names: tuple[str, ...] | None

    @property
    def has_test(self) -> bool:
        """Whether it says which samples are for test."""
        return "test" in self.parts[0]


def read_index_map(given: Any, where: str) -> IndexMap:
    """Return a partition from lists of indices, or from a mapping of clients to such lists.

    Parameters
    ----------
    given
        For each client the indices of its training samples, or a mapping of splits to indices.
    where
        The partition in messages.

    Raises
    ------
    InputError
        It has another form; the message names the client.
    """
    names: tuple[str, ...] | None = None
    if isinstance(given, Mapping):
        if any(name in SPLITS and not isinstance(own, Mapping) for name, own in given.items()):
            raise InputError(
                f"{where} has splits where clients were expected: a list of clients, or a mapping "
                "of their names to clients."
            )
        clients, names = in_order(given)
    elif isinstance(given, Iterable) and not isinstance(given, str | bytes):
        clients = list(given)
    else:
        raise InputError(
            f"{where} is of type {type(given).__name__}, expected a list of clients, or a mapping "
            f"of their names to clients; of each {_EXPECTED}."
        )
    if not clients:
        raise InputError(f"{where} has no clients.")
    parts = [_client(own, client_words(i, names)) for i, own in enumerate(clients)]
    for i, own in enumerate(parts):
        if ("test" in own) != ("test" in parts[0]):
            raise InputError(
                f"{where} has test samples for some clients alone, and for "
                f"{client_words(i if 'test' not in own else 0, names)} none: expected all or none."
            )
    return IndexMap(parts, names)


def _client(given: Any, who: str) -> dict[Split, Indices]:
    if not isinstance(given, Mapping):
        return {"train": _indices(given, who)}
    for key in given:
        if key not in SPLITS:
            raise UnknownNameError(f"split of {who}", str(key), SPLITS)
    if "train" not in given:
        raise InputError(f"{begin(who)} has no training samples.")
    return {
        split: _indices(given[split], f"the {SPLIT_WORDS[split]} samples of {who}")
        for split in SPLITS
        if split in given
    }


def _indices(given: Any, who: str) -> Indices:
    if not isinstance(given, list | tuple | np.ndarray | Tensor | range):
        raise InputError(f"{begin(who)}: a {type(given).__name__}, expected {_EXPECTED}.")
    index = as_numpy(given, who)
    if index.size == 0:
        raise InputError(f"{begin(who)}: the list is empty, expected a sample or more.")
    if index.ndim != 1 or index.dtype.kind not in "iu":
        raise InputError(f"{begin(who)}: these are no whole numbers, expected {_EXPECTED}.")
    return index.astype(np.int64)


def check_index_map(made: IndexMap, pools: Mapping[Split, tuple[str, int]]) -> None:
    """Check that a partition names samples that exist, each with one client.

    Test samples may be with several clients, as if the test set is global.

    Parameters
    ----------
    pools
        For each split the name of the samples that its indices count, and how many these are.

    Raises
    ------
    InputError
        An index is out of range, or a sample is in two places.
    """
    taken = {name: np.full(size, -1, np.int64) for name, size in pools.values()}
    for i, own in enumerate(made.parts):
        who = client_words(i, made.names)
        for number, split in enumerate(SPLITS):
            if split not in own:
                continue
            index, (pool, size) = own[split], pools[split]
            if index.min() < 0 or index.max() >= size:
                wrong = int(index.min() if index.min() < 0 else index.max())
                raise InputError(
                    f"{begin(who)} has the {SPLIT_WORDS[split]} sample {wrong:,}, and {pool} are "
                    f"0 to {size - 1:,}."
                )
            if len(np.unique(index)) < len(index):
                values, counts = np.unique(index, return_counts=True)
                twice = int(values[counts.argmax()])
                raise InputError(f"{begin(who)} has the {SPLIT_WORDS[split]} sample {twice} twice.")
            place = taken[pool]
            before = place[index]
            wrong_ones = (before >= 0) & ((before % 3 != 2) | (split != "test"))
            if wrong_ones.any():
                sample = int(index[wrong_ones.argmax()])
                other, of = divmod(int(place[sample]), 3)
                raise InputError(
                    f"Sample {sample} of {pool} is in two places, {SPLIT_WORDS[SPLITS[of]]} of "
                    f"{client_words(other, made.names)} and {SPLIT_WORDS[split]} of {who}."
                )
            place[index] = 3 * i + number


def read_index_file(path: Path) -> IndexMap:
    """Return the partition in a JSON file.

    Raises
    ------
    InputError
        The file cannot be read, is no JSON, names a client twice, or has another form.
    """
    try:
        given = json.loads(read_text(path), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is no JSON file of a partition: {one_line(str(error)).rstrip('.')}."
        ) from error
    try:
        return read_index_map(given, "The partition")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"two entries are called {next(n for n in names if names.count(n) > 1)!r}")
    return made


def dealt_test(
    made: IndexMap, y: np.ndarray, test_y: np.ndarray, classes: int, rng: np.random.Generator
) -> list[Indices]:
    """Give out samples of a split in the clients' shares of each training class.

    Raises
    ------
    InputError
        There are fewer test samples than clients.
    """
    n = len(made.parts)
    held = [np.concatenate([own["train"], own.get("val", own["train"][:0])]) for own in made.parts]
    shares = np.stack([np.bincount(y[index], minlength=classes) for index in held])
    parts = {"train": held, "val": held, "test": deal(shares.astype(np.float64), test_y, rng)}
    labels = {"train": y, "val": y, "test": test_y}
    owners = owners_of(parts, labels, n, who="of indices")  # type: ignore[arg-type]  # their splits
    repair(owners, labels, n, classes, who="of indices")  # type: ignore[arg-type]
    return by_client(owners["test"], n)


def clients_of_pool(
    data: Any, partition: Any, classes: int | None, test: Any, rng: np.random.Generator
) -> tuple[Any, tuple[str, ...] | None]:
    """Return clients as `Federation.from_arrays` takes them, and their names.

    See `Federation.from_pool`.
    """
    x, y = _checked(data, "the data", classes)
    made = read_index_map(partition, "The partition")
    pools: dict[Split, tuple[str, int]] = dict.fromkeys(SPLITS, ("the samples", len(y)))
    test_x, test_y = x, y
    if test is not None:
        test_x, test_y = _checked(test, "the test data", classes)
        pools["test"] = ("the test samples", len(test_y))
    check_index_map(made, pools)
    of_test: list[Indices] | None = None
    if made.has_test:
        of_test = [own["test"] for own in made.parts]
    elif test is not None:
        number = classes or 1 + int(max(y.max(), test_y.max()))
        of_test = dealt_test(made, y, test_y, number, rng)
    clients: list[dict[str, Any]] = []
    for i, own in enumerate(made.parts):
        index = own["train"]
        if of_test is None:
            arrays = split_off_test(x[index], y[index], client_words(i, made.names))
        else:
            arrays = {
                "train": (x[index], y[index]),
                "test": (test_x[of_test[i]], test_y[of_test[i]]),
            }
        if "val" in own:
            arrays["val"] = (x[own["val"]], y[own["val"]])
        clients.append(arrays)
    return clients, made.names


def _checked(data: Any, where: str, classes: int | None) -> tuple[np.ndarray, np.ndarray]:
    x, y = read_samples(data, where)
    check_inputs(x, f"x of {where}")
    check_labels(y, len(x), classes, f"y of {where}")
    return x, y
