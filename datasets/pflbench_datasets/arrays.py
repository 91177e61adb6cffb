"""`npz:PATH`: a file of samples, or a folder that holds a federation, a file a client."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pflbench.errors import InputError, suggestion
from pflbench.federation import ClientArrays, DataRequest, Pool
from pflbench.federation.checks import check_inputs, check_labels, count_classes
from pflbench.federation.client_names import as_unicode, natural_order
from pflbench.federation.clients import ARRAYS, check_clients
from pflbench.federation.holdout import for_test
from pflbench.federation.images import check_pixels, remarks_on
from pflbench.schema.archives import ArchiveError, NoArchiveError, read_archive
from pflbench.schema.content import regular
from pflbench_datasets.folders import DataFolder, is_folder
from pflbench_datasets.owners import FEWEST, check_sizes, numbered_clients
from pflbench_datasets.recognition import pfllib

SAMPLES = ("x", "y", "client")
FEDERATION = {f"{key[-1]}_{key[:-2]}": key for key in ARRAYS}
"""Names of a client's arrays in its file: x_train is the train_x of `ClientArrays`."""

OPTIONAL = ("x_val", "y_val")
ENDING = ".npz"


def load(request: DataRequest) -> Pool | ClientArrays:
    """Load a file or a folder of NumPy archives.

    A file holds x [n, *shape] (uint8 images, scaled to [0, 1] on use, or floating point), y [n]
    integer labels 0 to C - 1, and optionally client [n], the owner of each sample (number or text).
    A fifth of the samples (of each owner), stratified by class, becomes the test split.

    A folder holds one .npz per client with x_train, y_train, x_val, y_val, x_test and y_test: a
    ready-made federation. For a client without x_val and y_val, a quarter of the training samples,
    stratified by class, becomes its validation split. Clients have their files' names, and are in
    the natural order of these (2 before 10), as the clients of a file are.

    Raises
    ------
    InputError
        What is missing, damaged or does not fit, by name of file and array. Arrays of Python
        objects are refused: reading them would run code from the file.
    """
    if request.path is None:
        raise InputError("npz needs a file or a folder: npz:PATH.")
    path = request.path.expanduser()
    if is_folder(path, "npz"):
        return _federation(path)
    if not path.exists() and not path.is_symlink():
        raise InputError(f"npz: file or folder {path} does not exist.")
    regular(path, "npz")
    return _pool(path)


def _pool(path: Path) -> Pool:
    arrays = _read(path, SAMPLES, required=SAMPLES[:2])
    x, y = arrays["x"], arrays["y"]
    check_inputs(x, f"x of {path}")
    check_labels(y, len(x), None, f"y of {path}")
    check_pixels(x, f"x of {path}")
    classes = count_classes([y], str(path))
    y = y.astype(np.int64)
    if x.dtype.kind == "f":
        x = x.astype(np.float32)
    names, owners = None, None
    if "client" in arrays:
        names, owners = _owners(arrays["client"], len(y), path)
    elif len(y) < FEWEST:
        raise InputError(
            f"npz: the number of samples in {path} is {len(y)}, expected at least {FEWEST}."
        )
    test = for_test(y, owners)
    clients = "" if names is None else f" of {len(names):,} clients"
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
        client_names=names,
        remark=remarks_on([x]),
    )


def _federation(root: Path) -> ClientArrays:
    folder = DataFolder(root, "npz")
    found, _ = folder.files(root, (ENDING,))
    folder.once(found)
    if not found:
        within = [path.name for path in folder.folders(root) if folder.files(path, (ENDING,))[0]]
        hint = f"; its folder {within[0]} does" if within else ""
        if pfllib(root):
            hint = f"; it looks like {pfllib(root)}, which pfllib:{root} reads"
        raise InputError(f"npz: {root} holds no .npz file (expected one a client){hint}.")
    paths = sorted(found, key=lambda path: natural_order(path.name))
    needed = tuple(name for name in FEDERATION if name not in OPTIONAL)
    clients: list[dict[str, np.ndarray]] = []
    for path in paths:
        arrays = _read(path, tuple(FEDERATION), required=needed)
        if sum(name in arrays for name in OPTIONAL) == 1:
            raise InputError(
                f"npz: {path} holds one of x_val and y_val: expected both, or neither for a "
                "validation split that is drawn from the training samples."
            )
        clients.append({FEDERATION[name]: array for name, array in arrays.items()})
    checked = check_clients(
        clients, None, lambda i, key: f"{key[-1]}_{key[:-2]} of {paths[i]}", whole=str(root)
    )
    return ClientArrays(
        clients=checked.clients,
        classes=checked.classes,
        source=f"{len(clients):,} client{'s' if len(clients) > 1 else ''} from {root}",
        names=tuple(as_unicode(path.name[: -len(ENDING)]) for path in paths),
        remark=checked.remark,
    )


def _read(path: Path, known: Sequence[str], *, required: Sequence[str]) -> dict[str, np.ndarray]:
    """Read the arrays of one archive, some of the `known` ones and all that are required."""

    def accept(names: Sequence[str]) -> None:
        for name in names:
            if name not in known:
                raise InputError(f"npz: {path} holds an array {name!r}.{suggestion(name, known)}")
        for name in required:
            if name not in names:
                raise InputError(f"npz: {path} lacks {name}: it must hold {', '.join(required)}.")

    try:
        return read_archive(path, "npz", accept)
    except NoArchiveError as error:
        raise InputError(
            f"npz: {path} {error}, expected an .npz archive, such as "
            f"np.savez(path, {required[0]}=..., ...) writes."
        ) from error
    except ArchiveError as error:
        where = f"{error.member} of {path}" if error.member else path
        raise InputError(f"npz: {where} {error}.") from error


def _owners(client: np.ndarray, n: int, path: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the clients' names, in natural order, and the number of each sample's client [n]."""
    if client.shape != (n,):
        raise InputError(
            f"npz: client of {path} has the shape {client.shape}: expected a number or text for "
            f"each of the {n:,} samples."
        )
    if client.dtype.kind not in "iuUS":
        raise InputError(
            f"npz: client of {path} is of type {client.dtype}: expected a whole number or text for "
            f"each of the {n:,} samples."
        )
    names, owners = numbered_clients(client)
    check_sizes(names, owners, "npz", path)
    return names, owners
