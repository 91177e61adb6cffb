"""Writing a federation for other suites: npz, PFLlib, LEAF and Parquet.

Each of these is read back by the data set of the same name, with equal samples in every split.
PFLlib and LEAF have no validation split: it is written next to theirs, in val/, which these
suites do not read.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from pflbench.errors import InputError, UnknownNameError, WorkError
from pflbench.federation.client_names import natural_order
from pflbench.federation.shards import Federation
from pflbench.federation.splits import SPLITS, Split

_SAFE: Final = re.compile(r"[\w-][\w. +-]{0,99}")
"""Names of clients that are names of files everywhere."""

_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_PIXELS: Final = 28 * 28

Names = tuple[str, ...]


def write_federation(federation: Federation, target: Path, layout: str) -> str:
    """Write a federation in the layout of another suite.

    Parameters
    ----------
    target
        The folder to be, or the file of Parquet; it must not exist.
    layout
        "npz", "pfllib", "leaf" or "parquet".

    Returns
    -------
    A notice, or "".

    Raises
    ------
    InputError
        The layout cannot hold this federation, or the target exists already.
    WorkError
        Writing failed; nothing is left behind.
    """
    if layout not in LAYOUTS:
        raise UnknownNameError("layout", layout, LAYOUTS)
    if target.exists() or target.is_symlink():
        raise InputError(f"{target} exists already: expected a new name for the data.")
    if not target.absolute().parent.is_dir():
        raise InputError(f"{target} cannot be written: there is no folder {target.parent}.")
    names, notice = _names(federation, layout)
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        LAYOUTS[layout](federation, names, part)
        part.rename(target)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise WorkError(f"{target} could not be written: {reason}.") from error
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
    return notice


def _names(federation: Federation, layout: str) -> tuple[Names, str]:
    """Return the clients' names as the layout holds them, and a notice where these are others."""
    numbers = tuple(map(str, range(federation.clients)))
    names = federation.names
    if names is None or names == numbers or layout == "pfllib":
        return names or numbers, ""
    why = ""
    if list(names) != sorted(names, key=natural_order):
        why = "not in the natural order of their names"
    elif len({name.casefold() for name in names}) < len(names):
        why = "not of different names"
    elif layout == "npz" and not all(map(_fit_for_files, names)):
        why = "not named as files may be"
    if not why:
        return names, ""
    return numbers, f"The clients are {why}: they are numbered instead."


def _fit_for_files(name: str) -> bool:
    fits = _SAFE.fullmatch(name) and not _RESERVED.fullmatch(name)
    return bool(fits) and not name.endswith((".", " "))


def _arrays(federation: Federation, client: int, split: Split) -> tuple[np.ndarray, np.ndarray]:
    x, y = federation.split(split).client(client)
    return x.numpy(), y.numpy()


def _write_npz(federation: Federation, names: Names, target: Path) -> None:
    """Write an archive a client, with x_train, y_train, and so on."""
    present = {int(c) for split in SPLITS for c in np.unique(federation.split(split).y.numpy())}
    absent = sorted(set(range(federation.classes)) - present)
    if absent:
        raise InputError(
            f"The class {absent[0]} has no sample, and npz has no place for the number of classes: "
            "expected another layout, such as parquet."
        )
    target.mkdir()
    for i, name in enumerate(names):
        own: dict[str, np.ndarray] = {}
        for split in SPLITS:
            own[f"x_{split}"], own[f"y_{split}"] = _arrays(federation, i, split)
        np.savez_compressed(target / f"{name}.npz", **own)  # type: ignore[arg-type]  # its stubs


def _write_pfllib(federation: Federation, names: Names, target: Path) -> None:
    """Write train/0.npz, ..., test/0.npz, ..., config.json, and val/ next to them."""
    counts = []
    for split in SPLITS:
        (target / split).mkdir(parents=True)
    for i in range(federation.clients):
        held = np.zeros(federation.classes, np.int64)
        for split in SPLITS:
            x, y = _arrays(federation, i, split)
            held += np.bincount(y, minlength=federation.classes)
            with (target / split / f"{i}.npz").open("wb") as file:
                np.savez_compressed(file, data={"x": x, "y": y})  # type: ignore[arg-type]
        counts.append([[int(c), int(held[c])] for c in np.flatnonzero(held)])
    config = {
        "num_clients": federation.clients,
        "num_classes": federation.classes,
        "non_iid": True,
        "balance": False,
        "partition": "pflbench",
        "Size of samples for labels in clients": counts,
        "alpha": None,
        "batch_size": None,
        "client_names": list(names),
    }
    (target / "config.json").write_text(json.dumps(config), "utf-8")


def _write_leaf(federation: Federation, names: Names, target: Path) -> None:
    """Write train/data.json, test/data.json, and val/data.json next to them."""
    shape = federation.input_shape
    if shape == (_PIXELS,):
        raise InputError(
            "Samples of 784 numbers are read from LEAF's layout as images of 1×28×28: expected "
            "another layout, such as parquet."
        )
    flat = shape == (1, 28, 28)
    if len(shape) > 3:
        raise InputError(
            f"LEAF's layout holds samples of up to three axes, and these have the shape {shape}: "
            "expected another layout, such as parquet."
        )
    for split in SPLITS:
        folder = target / split
        folder.mkdir(parents=True)
        users: dict[str, Any] = {}
        sizes = []
        for i, name in enumerate(names):
            x, y = _arrays(federation, i, split)
            users[name] = {"x": (x.reshape(len(x), -1) if flat else x).tolist(), "y": y.tolist()}
            sizes.append(len(y))
        content = {
            "users": list(names),
            "num_samples": sizes,
            "user_data": users,
            "num_classes": federation.classes,
        }
        with (folder / "data.json").open("w", encoding="utf-8") as file:
            json.dump(content, file)


def _write_parquet(federation: Federation, names: Names, target: Path) -> None:
    """Write one table: client, split, label, and x, the sample's numbers one after another."""
    described = {"shape": list(federation.input_shape), "classes": federation.classes}
    by_number = federation.names is None or names != federation.names
    kinds: Mapping[str, Any] = {
        "client": pa.int64() if by_number else pa.string(),
        "split": pa.dictionary(pa.int8(), pa.string()),
        "label": pa.int64(),
    }
    width = int(np.prod(federation.input_shape))
    split_kind = kinds["split"]
    number = pa.float32() if federation.train.x.is_floating_point() else pa.int64()
    fields = [pa.field(key, kind) for key, kind in kinds.items()]
    schema = pa.schema(
        [*fields, pa.field("x", pa.list_(number, width))],
        metadata={"pflbench": json.dumps(described)},
    )
    with pyarrow.parquet.ParquetWriter(target, schema, compression="zstd") as writer:
        for i, name in enumerate(names):
            for split in SPLITS:
                x, y = _arrays(federation, i, split)
                values = pa.array(x.reshape(-1), number)
                columns = [
                    pa.array([i if by_number else name] * len(y), kinds["client"]),
                    pa.DictionaryArray.from_arrays(
                        pa.array([SPLITS.index(split)] * len(y), pa.int8()), list(SPLITS)
                    ).cast(split_kind),
                    pa.array(y, pa.int64()),
                    pa.FixedSizeListArray.from_arrays(values, width),
                ]
                writer.write_table(pa.table(columns, schema=schema))


LAYOUTS: Final[Mapping[str, Callable[[Federation, Names, Path], None]]] = {
    "npz": _write_npz,
    "pfllib": _write_pfllib,
    "leaf": _write_leaf,
    "parquet": _write_parquet,
}
"""The layouts by name, which is also that of the data set that reads them."""
