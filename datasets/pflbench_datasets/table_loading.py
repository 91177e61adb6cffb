"""`csv:FILE` and `parquet:FILE`: samples in the rows of a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np

from pflbench.errors import InputError, suggestion
from pflbench.federation import SPLITS, ClientArrays, DataRequest, Pool, Split
from pflbench.federation.checks import check_inputs, check_labels
from pflbench.federation.clients import check_clients
from pflbench.federation.holdout import for_test
from pflbench_datasets.owners import FEWEST, check_sizes, numbered_clients
from pflbench_datasets.table_columns import Column, check_missing, feature, is_text, labels
from pflbench_datasets.table_files import FILE, read_table
from pflbench_datasets.table_options import Options, parted

METADATA: Final = b"pflbench"
"""Key of a Parquet file's metadata with the samples' shape and the number of classes."""

EXPORTED: Final = Options(label="label", client="client", split="split")
"""The columns that `pflbench export-data` writes; the others are the inputs."""


def load_csv(request: DataRequest) -> Pool | ClientArrays:
    """Load a CSV table; see `load_table`."""
    return load_table(request, "csv")


def load_parquet(request: DataRequest) -> Pool | ClientArrays:
    """Load a Parquet table; see `load_table`."""
    return load_table(request, "parquet")


@dataclass(frozen=True)
class _Rows:
    """A table's rows.

    Attributes
    ----------
    x, y
        Inputs [n, *shape] and labels [n].
    classes
        Number of classes.
    owner, names
        The number of each row's client [n], and the clients' names; None without clients.
    split
        Each row's split [n] as text; None without.
    """

    x: np.ndarray
    y: np.ndarray
    classes: int
    owner: np.ndarray | None
    names: tuple[str, ...] | None
    split: np.ndarray | None
    path: Path
    remark: str

    def of(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the inputs and labels of some rows."""
        return self.x[chosen], self.y[chosen]


def load_table(request: DataRequest, kind: str) -> Pool | ClientArrays:
    """Load KIND:FILE?label=NAME[&client=NAME][&split=NAME][&skip=NAME][&category=NAME].

    Every other column is an input: numbers as they are, texts (and numbers named as `category`)
    one-hot in natural order, lists of numbers side by side. Labels are numbered in natural order.
    With `split` (train, val, test) rows stay in their split; without, a fifth (of each client's),
    stratified by class, is for test, and a quarter of the rest for validation. In a folder each
    file is a client's.

    Raises
    ------
    InputError
        A file, column or cell is not as it must be; the message names it.
    """
    if request.path is None:
        raise InputError(f"{kind} needs a file: {kind}:FILE?client=NAME&label=NAME.")
    path, options = parted(request.path.expanduser(), kind)
    table, a_file_each = read_table(path, kind)

    def refuse(sentence: str) -> InputError:
        return InputError(f"{kind}: {path}: {sentence}.")

    if options == Options() and METADATA in (table.schema.metadata or {}):
        options = EXPORTED
    rows = _rows(table, options, FILE if a_file_each else options.client, path, refuse)
    if rows.split is None:
        return _unsplit(rows, kind)
    if rows.owner is None:
        return _split_pool(rows, refuse)
    return _split_clients(rows, refuse)


def _rows(
    table: Any,
    options: Options,
    client: str | None,
    path: Path,
    refuse: Callable[[str], InputError],
) -> _Rows:
    columns = table.column_names
    label = options.label_in(columns)
    known = [name for name in (label, client, options.split) if name is not None]
    for name in (*known, *options.skip, *options.category):
        if name not in columns:
            raise refuse(f"there is no column {name!r}{_nearest(name, columns)}")
    if len(set(known)) < len(known) or set(known) & {*options.skip, *options.category}:
        raise refuse("a column has two roles: expected one each for label, client, split, skip")
    inputs = [name for name in columns if name not in known and name not in options.skip]
    if not inputs:
        raise refuse("no column is left for the inputs")
    check_missing(table, [*known, *inputs], refuse)
    made = [feature(name, table.column(name), name in options.category, refuse) for name in inputs]
    about_file = _described(table, refuse)
    if about_file is None:
        y, classes, about = labels(label, table.column(label), refuse)
    else:
        y, classes, about = np.asarray(table.column(label).to_numpy()), about_file[1], ""
        check_labels(y, len(table), classes, f"{label} of {path}")
    names, owner = None, None
    if client is not None:
        names, owner = numbered_clients(_client(client, table.column(client), refuse))
    split = None
    if options.split is not None:
        split = _splits(options.split, table.column(options.split), refuse)
    x = _together(made)
    if about_file:
        if prod(about_file[0]) != x.shape[1]:
            raise refuse(f"its inputs are not of the shape {about_file[0]} of its description")
        x = x.reshape(-1, *about_file[0])
    check_inputs(x, f"The inputs of {path}")
    remarks = [column.remark for column in made] + [about]
    return _Rows(x, y, classes, owner, names, split, path, " ".join(filter(None, remarks)))


def _nearest(name: str, columns: Sequence[str]) -> str:
    return "." + suggestion(name, columns).rstrip(".")


def _together(made: Sequence[Column]) -> np.ndarray:
    if len(made) == 1:
        return made[0].values
    return np.concatenate([column.values.astype(np.float32) for column in made], axis=1)


def _described(
    table: Any, refuse: Callable[[str], InputError]
) -> tuple[tuple[int, ...], int] | None:
    """Return the samples' shape and the number of classes that `pflbench export-data` wrote."""
    written = (table.schema.metadata or {}).get(METADATA)
    if written is None:
        return None
    try:
        said = json.loads(written)
        shape, classes = tuple(said["shape"]), said["classes"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise refuse("its description by pflbench is damaged") from error
    if not all(type(n) is int and n > 0 for n in (*shape, classes)):
        raise refuse("its description by pflbench is damaged")
    return shape, classes


def _client(name: str, column: Any, refuse: Callable[[str], InputError]) -> np.ndarray:
    if is_text(column):
        return np.asarray(column.to_pandas().astype(str).to_numpy().astype(str))
    values = column.to_numpy()
    if values.dtype.kind not in "iu":
        raise refuse(
            f"clients in {name!r} are of type {column.type}, expected text or whole numbers"
        )
    return np.asarray(values)


def _splits(name: str, column: Any, refuse: Callable[[str], InputError]) -> np.ndarray:
    found = sorted({str(value) for value in column.unique().to_pylist()})
    wrong = [value for value in found if value not in SPLITS]
    if wrong:
        raise refuse(f"{name!r} holds {wrong[0]!r}, expected train, val or test")
    for split in ("train", "test"):
        if split not in found:
            raise refuse(f"{name!r} holds no {split!r}")
    return np.asarray(column.to_pandas().astype(str).to_numpy().astype(str))


def _unsplit(rows: _Rows, kind: str) -> Pool:
    if rows.names is not None and rows.owner is not None:
        check_sizes(rows.names, rows.owner, kind, rows.path)
    elif len(rows.y) < FEWEST:
        raise InputError(f"{kind}: {rows.path} has {len(rows.y)} rows, expected at least {FEWEST}.")
    test = for_test(rows.y, rows.owner)
    return Pool(
        train_x=rows.x[~test],
        train_y=rows.y[~test],
        test_x=rows.x[test],
        test_y=rows.y[test],
        classes=rows.classes,
        source=_source(rows),
        validation=max(1, int((~test).sum()) // 4),
        train_owner=None if rows.owner is None else rows.owner[~test],
        test_owner=None if rows.owner is None else rows.owner[test],
        client_names=rows.names,
        remark=rows.remark,
    )


def _split_pool(rows: _Rows, refuse: Callable[[str], InputError]) -> Pool:
    assert rows.split is not None  # its caller's condition
    parts = {split: rows.of(rows.split == split) for split in SPLITS}
    own = len(parts["val"][1]) > 0
    train = len(parts["train"][1])
    if not own and train < 2:
        raise refuse(f"{train} training row, and no validation rows: expected two or more")
    return Pool(
        train_x=parts["train"][0],
        train_y=parts["train"][1],
        test_x=parts["test"][0],
        test_y=parts["test"][1],
        classes=rows.classes,
        source=_source(rows),
        validation=0 if own else max(1, train // 4),
        val_x=parts["val"][0] if own else None,
        val_y=parts["val"][1] if own else None,
        remark=rows.remark,
    )


def _split_clients(rows: _Rows, refuse: Callable[[str], InputError]) -> ClientArrays:
    assert rows.split is not None  # its caller's conditions
    assert rows.owner is not None
    assert rows.names is not None
    names = rows.names
    order = np.argsort(rows.owner, kind="stable")
    parts = np.split(order, np.searchsorted(rows.owner[order], np.arange(1, len(names))))
    clients: list[Mapping[str, np.ndarray]] = []
    for name, part in zip(names, parts, strict=True):
        own: dict[str, np.ndarray] = {}
        for split in SPLITS:
            chosen = part[rows.split[part] == split]
            if len(chosen):
                own[f"{split}_x"], own[f"{split}_y"] = rows.of(chosen)
            elif split != "val":
                raise refuse(f"client {name!r} has no {split} row")
        clients.append(own)

    def where(i: int, key: str) -> str:
        split: Split | str = key[:-2]
        return f"{key[-1]} of the {split} rows of client {names[i]!r} of {rows.path}"

    checked = check_clients(clients, rows.classes, where, whole=str(rows.path))
    return ClientArrays(
        clients=checked.clients,
        classes=checked.classes,
        source=_source(rows),
        names=names,
        remark=" ".join(filter(None, (rows.remark, checked.remark))),
    )


def _source(rows: _Rows) -> str:
    clients = "" if rows.names is None else f" of {len(rows.names):,} clients"
    return f"{len(rows.y):,} rows{clients} from {rows.path}"
