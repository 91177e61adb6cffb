"""The last resort for MNIST: 5,000 of its images, which come with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pflbench.errors import InputError
from pflbench.federation import Pool
from pflbench.schema.archives import ArchiveError, read_archive

FILE = Path(__file__).with_name("mnist_5k.npz")
"""Images x [5,000, 28, 28] and labels y [5,000], uint8; `mnist_5k.md` names source and licence."""

_CLASSES, _TEST_EVERY = 10, 5


def load(looked: str) -> Pool:
    """Load the embedded images: 4,000 for training (1,333 of them for validation), 1,000 for test.

    Parameters
    ----------
    looked
        Where the whole of MNIST was sought, for the notice.

    Raises
    ------
    InputError
        The file is missing or damaged.
    """
    try:
        arrays = read_archive(FILE, "The 5,000 images of MNIST")
        x, y = arrays["x"][:, None], arrays["y"].astype(np.int64)
    except (ArchiveError, KeyError) as error:
        what = "has other arrays" if isinstance(error, KeyError) else error
        raise InputError(
            f"MNIST was not found ({looked}), and {FILE}, which comes with pflbench, {what}: "
            "install pflbench again, or name a folder that contains MNIST/raw/ with --data-dir or "
            "PFLBENCH_DATA."
        ) from error
    # Every fifth image of each class, in the file's order: no random numbers, so the split is
    # the same with every version of every library.
    test = np.zeros(len(y), bool)
    for c in range(_CLASSES):
        test[np.flatnonzero(y == c)[::_TEST_EVERY]] = True
    train_size = int((~test).sum())
    return Pool(
        train_x=x[~test],
        train_y=y[~test],
        test_x=x[test],
        test_y=y[test],
        classes=_CLASSES,
        source="5,000 images of MNIST (4,000 + 1,000) that come with pflbench",
        validation=train_size // 3,
        notice=f"The whole of MNIST was not found ({looked}): using the 5,000 MNIST images that "
        "come with pflbench, on separate leaderboards. --data-dir names another folder.",
    )
