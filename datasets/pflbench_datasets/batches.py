"""CIFAR-10 and CIFAR-100: Python pickles of uint8 images, read only once they are verified."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import torchvision.datasets

from pflbench.errors import InputError
from pflbench.federation import DataRequest, Pool
from pflbench_datasets.collection import Collection, Part
from pflbench_datasets.sources import NotFoundError, Obtained, Places, not_found, obtain

VALIDATION = 10_000
_SHAPE = (3, 32, 32)


def _collection(title: str, facts: Any, marker: str = "") -> Collection:
    """Take names, addresses and checksums from torchvision, which keeps the publisher's."""
    files = [*facts.train_list, *facts.test_list]
    return Collection(
        title=title,
        folder=facts.base_folder,
        parts=tuple(Part(name, digest) for name, digest in files),
        mirrors=(facts.url.removesuffix(facts.filename),),
        archive=Part(facts.filename, facts.tgz_md5),
        marker=marker,
    )


CIFAR10 = _collection("CIFAR-10", torchvision.datasets.CIFAR10)
CIFAR100 = _collection("CIFAR-100", torchvision.datasets.CIFAR100, marker="meta")


def load_cifar10(
    request: DataRequest, *, collection: Collection = CIFAR10, places: Places | None = None
) -> Pool:
    """Load CIFAR-10.

    Parameters
    ----------
    request
        Where to look.
    collection
        The files, and their checksums; the last one is the test split.
    places
        Cache and system folders; the usual ones by default.

    Raises
    ------
    InputError
        A damaged file in the user's folder, or the data set is nowhere.
    """
    # Normalisation: the constants of pFedHN's official code, as for CIFAR-100 below.
    return _load(
        request,
        collection,
        places,
        classes=10,
        key="labels",
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2023, 0.1994, 0.2010),
    )


def load_cifar100(
    request: DataRequest, *, collection: Collection = CIFAR100, places: Places | None = None
) -> Pool:
    """Load CIFAR-100 with its 100 fine labels; parameters and errors as for `load_cifar10`."""
    return _load(
        request,
        collection,
        places,
        classes=100,
        key="fine_labels",
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
    )


def _load(
    request: DataRequest,
    collection: Collection,
    places: Places | None,
    *,
    classes: int,
    key: str,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> Pool:
    try:
        obtained = obtain(collection, request, places or Places())
    except NotFoundError as error:
        raise not_found(collection, error) from error
    batches = [_batch(obtained, part.name, key, classes) for part in collection.parts]
    train_x = np.concatenate([x for x, _ in batches[:-1]])
    train_y = np.concatenate([y for _, y in batches[:-1]])
    test_x, test_y = batches[-1]
    return Pool(
        train_x=train_x,
        train_y=train_y,
        test_x=test_x,
        test_y=test_y,
        classes=classes,
        source=f"{collection.title} ({len(train_y):,} + {len(test_y):,} images) "
        f"from {obtained.origin}",
        validation=min(VALIDATION, len(train_y) // 5),
        mean=mean,
        std=std,
        notice=obtained.notice,
    )


def _batch(obtained: Obtained, name: str, key: str, classes: int) -> tuple[np.ndarray, np.ndarray]:
    where = f"{name} from {obtained.origin}"
    try:
        batch = _Unpickler(obtained.parts[name]).load()
        x, y = batch["data"].array, np.asarray(batch[key])
    except Exception as error:  # a malformed pickle can raise nearly anything
        raise InputError(f"{where} is not a CIFAR batch: {error}.") from error
    if x.ndim != 2 or x.shape[1] != np.prod(_SHAPE):
        raise InputError(f"{where} holds images of shape {x.shape}, expected [n, 3072].")
    if y.dtype.kind != "i" or y.shape != x.shape[:1]:
        raise InputError(f"{where} holds {len(x)} images and labels of {y.dtype} {y.shape}.")
    if y.size and not 0 <= y.min() <= y.max() < classes:
        raise InputError(f"{where} holds labels outside 0 to {classes - 1}.")
    return x.reshape(-1, *_SHAPE), y.astype(np.int64)


class _Unpickler(pickle.Unpickler):
    """Reads a CIFAR batch, and can make only the objects of such a batch.

    Unpickling runs any code that the file names: a malicious file takes over the account of the
    user who opens it. So a batch is read only after its checksum matches the published one. MD5,
    the only checksum that the publisher gives, does not prevent collisions; hence this second
    barrier. Of all importable names only those of a byte array are known, and they lead to the
    classes below: numpy's own classes take a type and a state from the file, and with a forged
    state they write out of bounds.
    """

    def __init__(self, content: np.ndarray) -> None:
        # The batches were written by Python 2: its strings are the arrays' bytes.
        super().__init__(io.BytesIO(content.tobytes()), encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        """Return the maker of a byte array or of its type; refuse all else."""
        # numpy.core is where the published files say it is, numpy._core where numpy 2 has it.
        known = {
            ("numpy.core.multiarray", "_reconstruct"): _Bytes,
            ("numpy._core.multiarray", "_reconstruct"): _Bytes,
            ("numpy", "ndarray"): "ndarray",  # an argument of _reconstruct, never called
            ("numpy", "dtype"): _ByteType,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no CIFAR batch does")
        return known[module, name]


class _ByteType:
    """Stands for numpy's uint8, the one element type of a batch's array."""

    def __init__(self, code: str, *flags: object) -> None:
        if code not in ("u1", "|u1"):
            raise pickle.UnpicklingError(f"it holds an array of {code!r}, expected 'u1'")

    def __setstate__(self, state: object) -> None:
        """Ignore the type's state in the file: bytes have no order, fields or alignment."""


class _Bytes:
    """Stands for the array while it is read."""

    def __init__(self, *empty: object) -> None:
        self.array = np.empty(0, np.uint8)

    def __setstate__(self, state: tuple[int, tuple[int, ...], object, bool, str | bytes]) -> None:
        """Take shape and content."""
        _, shape, kind, by_columns, raw = state
        if not isinstance(kind, _ByteType):
            raise pickle.UnpicklingError("it holds an array of unknown type")
        content = raw.encode("latin1") if isinstance(raw, str) else raw
        flat = np.frombuffer(bytearray(content), np.uint8)
        self.array = flat.reshape(shape, order="F" if by_columns else "C")
