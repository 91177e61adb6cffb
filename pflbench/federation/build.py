"""From data and a partitioner to a federation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pflbench.errors import InputError
from pflbench.federation.allocation import (
    SPLIT_WORDS,
    Indices,
    by_client,
    hold_out,
    owners_of,
    repair,
)
from pflbench.federation.arrays import (
    ContentHash,
    check_inputs,
    check_labels,
    to_inputs,
    to_labels,
)
from pflbench.federation.partitioner import Partitioner, PartitionRequest
from pflbench.federation.pool import ClientArrays, Pool
from pflbench.federation.shards import SPLITS, Federation, Shards, Split
from pflbench.streams import stream


def build(
    data: Pool | ClientArrays, partitioner: Partitioner | None, clients: int | None, seed: int
) -> Federation:
    """Make the federation of a data set.

    Parameters
    ----------
    data
        What the data set's `load` returned. `ClientArrays` are a federation already.
    partitioner
        Who gets which samples of a pool. For `ClientArrays` None, or a partitioner that keeps
        the clients the data has (`Partitioner.keeps_clients`).
    clients
        Number of clients N; None for as many as the data knows.
    seed
        Names the streams that the validation pool and the partition are drawn from.

    Raises
    ------
    InputError
        The partition cannot be made, or the data are not as `Pool` and `ClientArrays` say.
    """
    if isinstance(data, ClientArrays):
        return _as_it_is(data, partitioner, clients)
    if partitioner is None:
        raise InputError(f"A partition of {data.source} among clients is needed: none was named.")
    check_pool(data)
    clients = number_of_clients(data, clients)
    source_of, request = splits_of(data, clients, seed)
    for split in SPLITS:
        available = len(request.labels[split])
        if available < clients:
            raise InputError(
                f"More clients than samples: each of {clients:,} clients needs a "
                f"{SPLIT_WORDS[split]} sample, and {data.source} has {available:,}."
            )
    who = type(partitioner).__name__
    parts = partitioner.assign(request, stream(seed, "partition"))
    owners = owners_of(parts, request.labels, clients, who=who)
    repair(owners, request.labels, clients, data.classes, who=who)

    shards: dict[Split, Shards] = {}
    hashes: dict[Split, str] = {}
    for split in SPLITS:
        index = [source_of[split][part] for part in by_client(owners[split], clients)]
        shards[split] = _gather(data, split, index, partitioner)
        hashes[split] = _hash_indices(index)
    return Federation(
        train=shards["train"],
        val=shards["val"],
        test=shards["test"],
        classes=data.classes,
        fingerprint=fingerprint_of(data),
        source=data.source,
        index_hashes=hashes,
        coordinates=partitioner.coordinates(clients),
    )


def _as_it_is(
    data: ClientArrays, partitioner: Partitioner | None, clients: int | None
) -> Federation:
    n = len(data.clients)
    if partitioner is not None and not partitioner.keeps_clients:
        raise InputError(
            f"{data.source} is already divided among {n} clients and cannot be partitioned again."
        )
    if clients is not None and clients != n:
        raise InputError(f"{data.source} has {n} clients, not {clients}: leave their number out.")
    return Federation.from_arrays(data.clients, classes=data.classes, source=data.source)


def check_pool(pool: Pool) -> None:
    """Check what a data set handed over; raise `InputError` if it is not as `Pool` says."""
    if pool.classes < 1:
        raise InputError(f"{pool.source} has {pool.classes} classes, expected at least one.")
    for name, x, y, owner in (
        ("training", pool.train_x, pool.train_y, pool.train_owner),
        ("test", pool.test_x, pool.test_y, pool.test_owner),
    ):
        check_inputs(x, f"The {name} data of {pool.source}")
        check_labels(y, len(x), pool.classes, f"The {name} labels of {pool.source}")
        if owner is not None:
            where = f"The clients of the {name} data of {pool.source}"
            check_labels(owner, len(x), len(pool.train_x), where, what="client number")
    if pool.train_x.shape[1:] != pool.test_x.shape[1:]:
        raise InputError(
            f"The samples of {pool.source} have shape {pool.train_x.shape[1:]} in training and "
            f"{pool.test_x.shape[1:]} in test, expected the same."
        )
    if (pool.train_owner is None) != (pool.test_owner is None):
        raise InputError(
            f"{pool.source} names the clients of its training or of its test samples, "
            "expected both or neither."
        )
    if not 0 < pool.validation < len(pool.train_x):
        raise InputError(
            f"{pool.source} holds {len(pool.train_x):,} training samples, of which "
            f"{pool.validation:,} cannot become validation samples: expected at least one on "
            "either side."
        )
    channels = pool.train_x.shape[1]
    if (pool.mean is None) != (pool.std is None):
        raise InputError(f"{pool.source} has only one of mean and std, expected both or neither.")
    if pool.mean is not None and pool.std is not None:
        for values in (pool.mean, pool.std):
            if len(values) not in (1, channels) or not np.isfinite(values).all():
                raise InputError(
                    f"{pool.source} is to be normalised by {values}, expected one number for "
                    f"each of {channels} channels."
                )
        if min(pool.std) <= 0:
            raise InputError(f"{pool.source} has the std {pool.std}, expected numbers above 0.")


def number_of_clients(pool: Pool, clients: int | None) -> int:
    """Return how many clients a federation of the pool has, if `clients` are asked for.

    Raises
    ------
    InputError
        The data does not know, and none are asked for, or fewer than one.
    """
    if clients is None:
        if pool.train_owner is None:
            raise InputError(
                f"{pool.source} does not know its clients: their number is needed, such as "
                "--clients 10."
            )
        return int(pool.train_owner.max()) + 1
    if clients < 1:
        raise InputError(f"A federation of {clients} clients cannot be made: expected 1 or more.")
    return clients


def splits_of(pool: Pool, clients: int, seed: int) -> tuple[dict[Split, Indices], PartitionRequest]:
    """Split off the validation pool; return each split's indices into the data, and the request."""
    train_y = pool.train_y.astype(np.int64)
    test_y = pool.test_y.astype(np.int64)
    owner = None if pool.train_owner is None else pool.train_owner.astype(np.int64)
    train, val = hold_out(train_y, owner, pool.validation, stream(seed, "validation"))
    source_of: dict[Split, Indices] = {"train": train, "val": val, "test": np.arange(len(test_y))}
    labels: dict[Split, np.ndarray] = {"train": train_y[train], "val": train_y[val], "test": test_y}
    owners: dict[Split, np.ndarray] | None = None
    if owner is not None and pool.test_owner is not None:
        owners = {
            "train": owner[train],
            "val": owner[val],
            "test": pool.test_owner.astype(np.int64),
        }
    return source_of, PartitionRequest(labels, owners, clients, pool.classes)


def _gather(pool: Pool, split: Split, index: list[Indices], partitioner: Partitioner) -> Shards:
    """Collect the clients' samples as their clients see them, in one block."""
    x, y = (pool.test_x, pool.test_y) if split == "test" else (pool.train_x, pool.train_y)
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in index])]).astype(np.int64)
    block = torch.empty((int(offsets[-1]), *x.shape[1:]), dtype=torch.float32)
    for i, part in enumerate(index):
        seen = partitioner.transform(i, to_inputs(x[part]))
        rows = block[int(offsets[i]) : int(offsets[i + 1])]
        if seen.shape != rows.shape:
            raise InputError(
                f"The partitioner {type(partitioner).__name__} turned samples of shape "
                f"{list(rows.shape)} into {list(seen.shape)}, expected the same shape."
            )
        rows.copy_(seen)
    normalise(block, pool.mean, pool.std)
    if not torch.isfinite(block.sum(dtype=torch.float64)):
        raise InputError(
            f"The partitioner {type(partitioner).__name__} turned samples of {pool.source} into "
            "values that are NaN or infinite."
        )
    return Shards(block, to_labels(y[np.concatenate(index)]), offsets)


def normalise(x: Tensor, mean: tuple[float, ...] | None, std: tuple[float, ...] | None) -> None:
    """Normalise x [n, channels, ...] by channel, in place."""
    if mean is None or std is None:
        return
    per_channel = (1, -1, *[1] * (x.ndim - 2))
    x.sub_(torch.tensor(mean).reshape(per_channel)).div_(torch.tensor(std).reshape(per_channel))


def _hash_indices(index: list[Indices]) -> str:
    content = ContentHash()
    for part in index:
        content.integers(part)
    return content.hexdigest()


def fingerprint_of(pool: Pool) -> str:
    """Return SHA-256 (hex) over everything that a data set handed over."""
    content = ContentHash()
    for array in (pool.train_x, pool.test_x):
        content.inputs(array)
    for labels in (pool.train_y, pool.test_y):
        content.integers(labels)
    for owners in (pool.train_owner, pool.test_owner):
        content.value(owners is not None)
        if owners is not None:
            content.integers(owners)
    content.value((pool.classes, pool.validation))
    for numbers in (pool.mean, pool.std):
        content.value(None if numbers is None else tuple(float(v) for v in numbers))
    return content.hexdigest()
