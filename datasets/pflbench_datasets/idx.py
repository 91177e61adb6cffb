"""MNIST and Fashion-MNIST: four IDX files each (format: yann.lecun.com/exdb/mnist)."""

from __future__ import annotations

import numpy as np
import torchvision.datasets

from pflbench.errors import InputError
from pflbench.federation import DataRequest, Pool
from pflbench_datasets import embedded
from pflbench_datasets.collection import Collection, Part
from pflbench_datasets.sources import NotFoundError, Obtained, Places, not_found, obtain

CLASSES = 10
VALIDATION = 10_000
_UNSIGNED_BYTE = 8


def _parts(*digests: str) -> tuple[Part, ...]:
    names = (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    )
    sizes = (16 + 60_000 * 784, 8 + 60_000, 16 + 10_000 * 784, 8 + 10_000)
    return tuple(Part(*part) for part in zip(names, digests, sizes, strict=True))


_MNIST_PARTS = _parts(
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)
_FASHION_PARTS = _parts(
    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
)

MNIST = Collection(
    title="MNIST",
    folder="MNIST/raw",
    parts=_MNIST_PARTS,
    mirrors=tuple(torchvision.datasets.MNIST.mirrors),
    namesakes={part.digest: "Fashion-MNIST" for part in _FASHION_PARTS},
)
FASHION_MNIST = Collection(
    title="Fashion-MNIST",
    folder="FashionMNIST/raw",
    parts=_FASHION_PARTS,
    mirrors=tuple(torchvision.datasets.FashionMNIST.mirrors),
    system="fashion-mnist",
    namesakes={part.digest: "MNIST" for part in _MNIST_PARTS},
)


def load_mnist(
    request: DataRequest, *, collection: Collection = MNIST, places: Places | None = None
) -> Pool:
    """Load MNIST; if it cannot be found or downloaded, the 5,000 images that come with pflbench.

    Parameters
    ----------
    request
        Where to look, and whether the last resort may be used.
    collection
        The files, and their checksums.
    places
        Cache and system folders; the usual ones by default.

    Raises
    ------
    InputError
        A damaged file in the user's folder, or MNIST is nowhere and the last resort is refused.
    """
    try:
        return _pool(obtain(collection, request, places or Places()), collection)
    except NotFoundError as error:
        if not request.fallback:
            leave = ", or leave out --no-fallback to use the 5,000 images that come with pflbench"
            raise not_found(collection, error, else_=leave) from error
        return embedded.load(error.looked)


def load_fashion_mnist(
    request: DataRequest, *, collection: Collection = FASHION_MNIST, places: Places | None = None
) -> Pool:
    """Load Fashion-MNIST; parameters and errors as for `load_mnist`, without a last resort."""
    try:
        return _pool(obtain(collection, request, places or Places()), collection)
    except NotFoundError as error:
        raise not_found(collection, error) from error


def _pool(obtained: Obtained, collection: Collection) -> Pool:
    arrays = []
    for part in collection.parts:
        try:
            arrays.append(read_idx(obtained.parts[part.name]))
        except ValueError as error:
            raise InputError(f"{part.name} from {obtained.origin}: {error}.") from error
    train_x, train_y, test_x, test_y = arrays
    for x, y, split in ((train_x, train_y, "training"), (test_x, test_y, "test")):
        if x.ndim != 3 or y.ndim != 1 or len(x) != len(y):
            raise InputError(
                f"The {split} files of {collection.title} from {obtained.origin} do not fit each "
                f"other: images {x.shape}, labels {y.shape}."
            )
        if y.max(initial=0) >= CLASSES:
            raise InputError(
                f"The {split} labels of {collection.title} from {obtained.origin} hold "
                f"{y.max()}: labels are 0 to {CLASSES - 1}."
            )
    return Pool(
        train_x=train_x[:, None],
        train_y=train_y.astype(np.int64),
        test_x=test_x[:, None],
        test_y=test_y.astype(np.int64),
        classes=CLASSES,
        source=f"{collection.title} ({len(train_y):,} + {len(test_y):,} images) "
        f"from {obtained.origin}",
        # The official split; proportionally less of a set that is smaller.
        validation=min(VALIDATION, len(train_y) // 6),
        notice=obtained.notice,
    )


def read_idx(content: np.ndarray) -> np.ndarray:
    """Parse an IDX file of unsigned bytes.

    Parameters
    ----------
    content
        [size] uint8, the whole file: two zeros, the element type, the number of dimensions, each
        dimension as a big-endian 32-bit number, then the elements.

    Returns
    -------
    uint8 array of the shape that the header says, a view of `content`.

    Raises
    ------
    ValueError
        The header is not that of such a file, or the length does not fit it.
    """
    head = content[:4].tolist()
    if len(head) < 4 or head[:3] != [0, 0, _UNSIGNED_BYTE] or not 1 <= head[3] <= 3:
        raise ValueError("not an IDX file of unsigned bytes (wrong first four bytes)")
    start = 4 + 4 * head[3]
    if len(content) < start:
        raise ValueError("an IDX file that ends within its header")
    shape = tuple(int(n) for n in np.frombuffer(content[4:start].tobytes(), ">u4"))
    expected = start + int(np.prod(shape, dtype=object))
    if len(content) != expected:
        raise ValueError(f"an IDX file of {len(content):,} bytes, its header says {expected:,}")
    return content[start:].reshape(shape)
