"""`npz:PATH`: a file of samples, or a folder that holds a federation, a file a client."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pflbench.errors import InputError, suggestion
from pflbench.federation import ClientArrays, DataRequest, Pool
from pflbench_datasets.holdout import hold_out

SAMPLES = ("x", "y", "client")
FEDERATION = ("train_x", "train_y", "val_x", "val_y", "test_x", "test_y")
"""The keys of `ClientArrays`; in the files they are called x_train, y_train and so on."""
_FEWEST = 3  # a sample each for training, validation and test


def load(request: DataRequest) -> Pool | ClientArrays:
    """Load a file or a folder of NumPy archives.

    A file holds x [n, *shape] (uint8, scaled to [0, 1] on use, or floating point), y [n] integer
    labels 0 to C - 1, and optionally client [n], who owns each sample (numbers or texts). A
    fifth of the samples (of each owner), stratified by class, becomes the test split.

    A folder holds one .npz a client with x_train, y_train, x_val, y_val, x_test and y_test: a
    federation as it is. Clients are in the natural order of the files' names (2 before 10).

    Raises
    ------
    InputError
        What is missing, damaged or does not fit, by name of file and array. Arrays of Python
        objects are refused: reading them would run code from the file.
    """
    if request.path is None:
        raise InputError("npz needs a file or a folder: npz:PATH.")
    path = request.path.expanduser()
    if path.is_dir():
        return _federation(path)
    if not path.is_file():
        raise InputError(f"npz: there is no file or folder {path}.")
    return _pool(path)


def _pool(path: Path) -> Pool:
    arrays = _read(path, SAMPLES, required=SAMPLES[:2])
    x, y = _samples(arrays, "x", "y", path)
    classes = _count_classes([y], str(path))
    owners = _owners(arrays["client"], len(y), path) if "client" in arrays else None
    if owners is None and len(y) < _FEWEST:
        raise InputError(f"npz: {path} has {len(y)} samples: at least {_FEWEST} are needed.")
    test = hold_out(y, owners)
    clients = f" of {owners.max() + 1:,} clients" if owners is not None else ""
    return Pool(
        train_x=x[~test],
        train_y=y[~test],
        test_x=x[test],
        test_y=y[test],
        classes=classes,
        source=f"{len(y):,} samples{clients} from {path}",
        validation=max(1, int((~test).sum()) // 4),
        train_owner=None if owners is None else owners[~test],
        test_owner=None if owners is None else owners[test],
    )


def _federation(folder: Path) -> ClientArrays:
    paths = sorted(
        (p for p in folder.glob("*.npz") if p.is_file() and not p.name.startswith(".")),
        key=lambda p: [int(t) if t.isdecimal() else t for t in re.split(r"([0-9]+)", p.name)],
    )
    if not paths:
        raise InputError(f"npz: {folder} holds no .npz file (expected one a client).")
    names = {f"{key[-1]}_{key[:-2]}": key for key in FEDERATION}  # x_train -> train_x
    clients: list[dict[str, np.ndarray]] = []
    for path in paths:
        arrays = _read(path, tuple(names), required=tuple(names))
        client: dict[str, np.ndarray] = {}
        for split in ("train", "val", "test"):
            x, y = _samples(arrays, f"x_{split}", f"y_{split}", path)
            client[f"{split}_x"], client[f"{split}_y"] = x, y
            first = clients[0]["train_x"] if clients else client["train_x"]
            if (x.shape[1:], x.dtype) != (first.shape[1:], first.dtype):
                raise InputError(
                    f"npz: x_{split} of {path} holds samples of {x.dtype} {x.shape[1:]}, but "
                    f"x_train of {paths[0]} of {first.dtype} {first.shape[1:]}."
                )
        clients.append(client)
    labels = [client[f"{split}_y"] for client in clients for split in ("train", "val", "test")]
    return ClientArrays(
        clients=clients,
        classes=_count_classes(labels, str(folder)),
        source=f"{len(clients):,} clients from {folder}",
    )


def _read(path: Path, known: Sequence[str], *, required: Sequence[str]) -> dict[str, np.ndarray]:
    """Read the arrays of one archive; nothing in it is ever unpickled or written to disk."""
    try:
        archive = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"npz: {path} is not an .npz archive, or is damaged: {error}.") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise InputError(
            f"npz: {path} holds a single array; np.savez(path, x=..., y=...) is meant."
        )
    with archive:
        for name in archive.files:
            if name not in known:
                raise InputError(f"npz: {path} holds an array {name!r}.{suggestion(name, known)}")
        for name in required:
            if name not in archive.files:
                raise InputError(f"npz: {path} lacks {name}: it must hold {', '.join(required)}.")
        return {name: _array(archive, name, path) for name in archive.files}


def _array(archive: Mapping[str, np.ndarray], name: str, path: Path) -> np.ndarray:
    try:
        array = archive[name]
    except (ValueError, OSError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error,
            NotImplementedError, RuntimeError) as error:  # fmt: skip
        if "allow_pickle" in str(error):
            raise InputError(
                f"npz: {name} of {path} holds Python objects, which are never unpickled: "
                "store a plain array of numbers."
            ) from error
        raise InputError(f"npz: {name} of {path} is damaged: {error}.") from error
    if not isinstance(array, np.ndarray):  # a member that is no .npy file comes as bytes
        raise InputError(f"npz: {name} of {path} is not a NumPy array.")
    return array


def _samples(
    arrays: Mapping[str, np.ndarray], x_name: str, y_name: str, path: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Return one split's samples (uint8 or float32) and labels (int64), checked."""
    x, y = arrays[x_name], arrays[y_name]
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        raise InputError(
            f"npz: {x_name} of {path} is of type {x.dtype}: expected uint8 (scaled to [0, 1]) or "
            "floating point."
        )
    if x.ndim < 2 or 0 in x.shape:
        raise InputError(
            f"npz: {x_name} of {path} has the shape {x.shape}: expected [samples, ...], not empty."
        )
    if y.dtype.kind not in "iu" or y.ndim != 1:
        raise InputError(
            f"npz: {y_name} of {path} is of type {y.dtype} and shape {y.shape}: expected whole "
            "numbers [samples]."
        )
    if len(x) != len(y):
        raise InputError(
            f"npz: {path} holds {len(x):,} samples in {x_name} but {len(y):,} labels in {y_name}."
        )
    if y.min() < 0 or y.max() > np.iinfo(np.int32).max:
        raise InputError(
            f"npz: {y_name} of {path} holds {y.min() if y.min() < 0 else y.max()}: labels are 0 to "
            "the number of classes less 1."
        )
    if x.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what float32 cannot hold is found by the next line
            x = x.astype(np.float32)
        if not np.isfinite(x).all():
            raise InputError(
                f"npz: {x_name} of {path} holds NaN, infinity or a number too large for float32."
            )
    return x, y.astype(np.int64)


def _count_classes(labels: Sequence[np.ndarray], where: str) -> int:
    """Return the number of classes, all of which must occur."""
    present = np.unique(np.concatenate(labels))
    classes = int(present[-1]) + 1
    if len(present) < classes:
        absent = int(np.flatnonzero(present != np.arange(len(present)))[0])
        raise InputError(
            f"npz: no label in {where} is {absent}, but one is {classes - 1}: number the classes "
            "from 0 without gaps."
        )
    if classes < 2:
        raise InputError(f"npz: all labels in {where} are 0: at least two classes are needed.")
    return classes


def _owners(client: np.ndarray, n: int, path: Path) -> np.ndarray:
    """Return [n] client numbers 0 to N - 1, in the sorted order of what they are called."""
    if client.dtype.kind not in "iuU" or client.shape != (n,):
        raise InputError(
            f"npz: client of {path} is of type {client.dtype} and shape {client.shape}: expected a "
            f"number or text for each of the {n:,} samples."
        )
    names, owners, sizes = np.unique(client, return_inverse=True, return_counts=True)
    if sizes.min() < _FEWEST:
        few = int(sizes.argmin())
        raise InputError(
            f"npz: client {names[few]} of {path} has {sizes[few]} samples: each needs at least "
            f"{_FEWEST}, for training, validation and test."
        )
    return owners.astype(np.int64)
