"""Clients that a column or array names, a name a sample."""

from __future__ import annotations

import numpy as np

from pflbench.errors import InputError
from pflbench.federation.client_names import as_unicode, natural_order, shown

FEWEST = 3  # a sample each for training, validation and test


def numbered_clients(client: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the clients' names and the number [n] of each sample's client.

    Parameters
    ----------
    client
        [n] whole numbers, in whose order the clients are numbered, or texts, in natural order.
    """
    values, owners = np.unique(client, return_inverse=True)
    owners = owners.reshape(-1).astype(np.int64)
    called = [_name(value) for value in values]
    if client.dtype.kind not in "iu":
        order = sorted(range(len(called)), key=lambda i: natural_order(called[i]))
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        owners, called = place[owners], [called[i] for i in order]
    return tuple(called), owners


def check_sizes(names: tuple[str, ...], owners: np.ndarray, start: str, of: object) -> None:
    """Check that each client has a sample each for training, validation and test.

    Parameters
    ----------
    start
        The data set's name.
    of
        The file.

    Raises
    ------
    InputError
        One has too few.
    """
    sizes = np.bincount(owners, minlength=len(names))
    if sizes.min() < FEWEST:
        few = int(sizes.argmin())
        samples = f"{sizes[few]} sample{'s' if sizes[few] > 1 else ''}"
        raise InputError(
            f"{start}: client {shown(names[few])} of {of} has {samples}: each needs at least "
            f"{FEWEST}, for training, validation and test."
        )


def _name(value: np.generic) -> str:
    """Return a client's name as text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return as_unicode(str(value))
