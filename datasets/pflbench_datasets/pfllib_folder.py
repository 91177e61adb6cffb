"""`pfllib:FOLDER`: a federation in the layout of PFLlib.

The layout is that of save_file in PFLlib's dataset/utils/dataset_utils.py: an archive a client in
train/ and in test/, each with one object, the dict of `x` and `y`; a config.json with the number of
clients and classes, which some of its generators do not write.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil

from pflbench.errors import InputError
from pflbench.federation import ClientArrays, DataRequest
from pflbench.federation.client_names import as_unicode, natural_order
from pflbench.federation.clients import check_clients
from pflbench.schema.archives import ArchiveError, NoArchiveError
from pflbench.schema.content import described, regular
from pflbench_datasets.folders import DataFolder, is_folder
from pflbench_datasets.object_arrays import as_array, as_list, as_number, read_object

ENDING: Final = ".npz"
SPLITS: Final = ("train", "test")
VALIDATION: Final = "val"
"""The folder that `pflbench export-data` writes next to PFLlib's, with a file a client."""

NAMES: Final = "client_names"
CONFIG: Final = "config.json"
MEMBER: Final = "data"
_LARGEST_CONFIG: Final = 1 << 26


def load(request: DataRequest) -> ClientArrays:
    """Load a folder of PFLlib.

    Its clients, and their training and test samples, stay as they are. A quarter of each client's
    training samples, stratified by class, becomes its validation split: PFLlib has none. Inputs are
    used unchanged (PFLlib's generators have normalised images). Of texts with their lengths,
    the tokens are the inputs.

    Raises
    ------
    InputError
        What is missing, damaged or does not fit, by name of file. A pickle that names anything but
        arrays and dicts is refused, and nothing of it is run.
    """
    if request.path is None:
        raise InputError("pfllib needs a folder: pfllib:FOLDER.")
    root = request.path.expanduser()
    if not is_folder(root, "pfllib"):
        raise InputError(f"pfllib: {root} is not a folder: expected one with train/ and test/.")
    files = _files(root)
    config = _config(root)
    _check_number(config, len(files), root)
    clients: list[dict[str, np.ndarray]] = []
    for paths in files.values():
        own: dict[str, np.ndarray] = {}
        for split, path in paths.items():
            own[f"{split}_x"], own[f"{split}_y"] = _samples(path)
        clients.append(own)
    in_order = list(files.values())

    def where(i: int, key: str) -> str:
        return f"{key[-1]} of {in_order[i][key[:-2]]}"

    checked = check_clients(clients, _classes(config, root), where, whole=str(root))
    return ClientArrays(
        clients=checked.clients,
        classes=checked.classes,
        source=f"{len(clients):,} client{'s' if len(clients) > 1 else ''} from {root}",
        names=tuple(as_unicode(name) for name in _names(config, list(files), root)),
        remark=checked.remark,
    )


def _files(root: Path) -> dict[str, dict[str, Path]]:
    """Return the files of each client, by its name, in natural order, and then by split."""
    folder = DataFolder(root, "pfllib")
    there = {path.name: path for path in folder.folders(root)}
    found: dict[str, dict[str, Path]] = {}
    for split in (*SPLITS, *([VALIDATION] if VALIDATION in there else [])):
        if split not in there:
            raise InputError(
                f"pfllib: {root} has no folder {split!r}: expected train/0.npz ... and "
                "test/0.npz ..., as PFLlib writes them."
            )
        files, _ = folder.files(there[split], (ENDING,))
        if not files:
            raise InputError(f"pfllib: {there[split]} holds no {ENDING} file.")
        found[split] = {path.name[: -len(ENDING)]: path for path in files}
    folder.once([path for part in found.values() for path in part.values()])
    names = {name for part in found.values() for name in part}
    for name in sorted(names, key=natural_order):
        lacking = [split for split in found if name not in found[split]]
        if lacking:
            has = next(split for split in found if name in found[split])
            raise InputError(
                f"pfllib: client {name} has a file in {there[has]} and none in "
                f"{there[lacking[0]]}: expected one in both."
            )
    return {
        name: {split: part[name] for split, part in found.items()}
        for name in sorted(names, key=natural_order)
    }


def _names(config: Mapping[str, Any], files: Sequence[str], root: Path) -> Sequence[str]:
    """Return the clients' names: those that `pflbench export-data` wrote, else the files'."""
    names = config.get(NAMES)
    if names is None:
        return files
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"pfllib: {NAMES} in {root / CONFIG} is not a list of texts.")
    if len(names) != len(files):
        raise InputError(
            f"pfllib: {NAMES} in {root / CONFIG} has {len(names):,} names for {len(files):,} "
            "clients."
        )
    return names


def _config(root: Path) -> Mapping[str, Any]:
    path = root / CONFIG
    if not path.exists() and not path.is_symlink():
        return {}
    regular(path, "pfllib")
    if path.is_symlink() or path.stat().st_size > _LARGEST_CONFIG:
        raise InputError(f"pfllib: {path} is a link or far too large: expected PFLlib's own file.")
    try:
        read = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"pfllib: {path} is {described(path)}, expected JSON.") from error
    if not isinstance(read, dict):
        raise InputError(f"pfllib: {path} holds no JSON object, expected num_clients and others.")
    return read


def _number(config: Mapping[str, Any], key: str, root: Path) -> int | None:
    value = config.get(key)
    if value is None:
        return None
    if type(value) not in (int, float) or not isfinite(value) or value != int(value) or value < 1:
        raise InputError(
            f"pfllib: {key} in {root / CONFIG} is {value!r}, expected a whole number from 1."
        )
    return int(value)


def _check_number(config: Mapping[str, Any], clients: int, root: Path) -> None:
    said = _number(config, "num_clients", root)
    if said is not None and said != clients:
        raise InputError(
            f"pfllib: {root / CONFIG} says {said:,} clients, and {root / SPLITS[0]} holds "
            f"{clients:,}: expected a file for each and no others (PFLlib leaves files of an "
            "earlier run in place)."
        )


def _classes(config: Mapping[str, Any], root: Path) -> int | None:
    return _number(config, "num_classes", root)


def _samples(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the inputs and labels of one file."""
    try:
        data = read_object(path, "pfllib", MEMBER)
    except NoArchiveError as error:
        raise InputError(f"pfllib: {path} {error}, expected one of PFLlib's archives.") from error
    except ArchiveError as error:
        where = f"{error.member} of {path}" if error.member else path
        raise InputError(f"pfllib: {where} {error}.") from error
    if not isinstance(data, dict) or not {"x", "y"} <= set(data):
        raise InputError(f"pfllib: {MEMBER} of {path} is not a dict of x and y.")
    return _inputs(data["x"], path), _labels(data["y"], path)


def _inputs(value: Any, path: Path) -> np.ndarray:
    array = as_array(value)
    if array is not None:
        return array
    rows = as_list(value)
    if not rows:
        raise InputError(f"pfllib: x of {path} is not an array, or is empty.")
    return _tokens([_text(row) for row in rows], path)


def _text(row: Any) -> Any:
    """Return the tokens of a pair (tokens, length); other rows unchanged."""
    cells = as_list(row)
    if cells is not None and len(cells) == 2 and isinstance(as_number(cells[1]), int):
        tokens = as_list(cells[0])
        return row if tokens is None else tokens
    return row


def _tokens(rows: Sequence[Any], path: Path) -> np.ndarray:
    length = len(rows[0]) if isinstance(rows[0], list) else 0
    for number, row in enumerate(rows):
        if not isinstance(row, list) or not length or len(row) != length:
            raise InputError(
                f"pfllib: sample {number} of x of {path} is not like the first: expected lists of "
                "tokens, all of one length, alone or each with that length, or a plain array."
            )
    if 8 * len(rows) * length > psutil.virtual_memory().available:
        raise InputError(f"pfllib: x of {path} is too large for the memory.")
    return _integers(rows, f"x of {path}")


def _labels(value: Any, path: Path) -> np.ndarray:
    array = as_array(value)
    if array is not None:
        return array
    values = as_list(value)
    if values is None:
        raise InputError(f"pfllib: y of {path} is not an array.")
    return _integers([as_number(one) for one in values], f"y of {path}")


def _integers(values: Sequence[Any], where: str) -> np.ndarray:
    flat = [v for row in values for v in row] if isinstance(values[0], list) else values
    if not all(type(v) is int for v in flat):
        raise InputError(f"pfllib: {where} holds something other than whole numbers.")
    try:
        return np.array(values, np.int64)
    except OverflowError as error:
        raise InputError(f"pfllib: {where} holds a number of more than 64 bits.") from error
