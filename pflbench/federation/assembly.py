"""From data and a partitioner to a federation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pflbench.errors import InputError
from pflbench.federation.allocation import Indices, by_client, hold_out, owners_of, repair
from pflbench.federation.arrays import ContentHash, is_tokens, to_inputs, to_labels
from pflbench.federation.checks import check_alike, check_inputs, check_labels
from pflbench.federation.merging import merged, split_in_three
from pflbench.federation.partitioner import Partitioner, PartitionRequest
from pflbench.federation.pool import ClientArrays, Pool
from pflbench.federation.shards import Federation, Shards
from pflbench.federation.splits import SPLIT_WORDS, SPLITS, Split
from pflbench.streams import stream


def build(
    data: Pool | ClientArrays,
    partitioner: Partitioner | None,
    clients: int | None,
    seed: int,
    name: str = "",
) -> Federation:
    """Make the federation of a data set.

    Parameters
    ----------
    data
        The result of the data set's `load`. `ClientArrays` are already a federation.
    partitioner
        It assigns the samples of a pool. For `ClientArrays` None, or a partitioner that keeps the
        data's clients (`Partitioner.keeps_clients`).
    clients
        Number of clients N; None for the number in the data.
    seed
        Names the streams that the validation pool and the partition are drawn from.
    name
        The partitioner's, for messages; "" for that of its class.

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
    who = name or type(partitioner).__name__
    if partitioner.fixed_clients is not None:
        pool, placed = partitioner.place(data, stream(seed, "partition"))
        index = dict(placed)
    elif partitioner.train_share is None:
        pool, index = data, _assigned(data, partitioner, clients, seed, who)
    else:
        pool = merged(data, standardise=partitioner.standardises)
        index = _divided(pool, partitioner, partitioner.train_share, clients, seed, who)
    shards: dict[Split, Shards] = {}
    hashes: dict[Split, str] = {}
    for split in SPLITS:
        shards[split] = _gather(pool, split, index[split], partitioner)
        hashes[split] = _hash_indices(index[split])
    return Federation(
        train=shards["train"],
        val=shards["val"],
        test=shards["test"],
        classes=data.classes,
        fingerprint=data.fingerprint,
        source=data.source,
        index_hashes=hashes,
        coordinates=partitioner.coordinates(clients),
        names=data.client_names if partitioner.keeps_clients else partitioner.names,
    )


def _assigned(
    data: Pool, partitioner: Partitioner, clients: int, seed: int, who: str
) -> dict[Split, list[Indices]]:
    """Return each client's indices into `Pool.samples` of every split, given out on its own."""
    source_of, request = splits_of(data, clients, seed)
    for split in SPLITS:
        available = len(request.labels[split])
        if available < clients:
            raise InputError(
                f"More clients than samples: each of {clients:,} clients needs a "
                f"{SPLIT_WORDS[split]} sample, and the number of them is {available:,} "
                f"({data.source})."
            )
    parts = partitioner.assign(request, stream(seed, "partition"))
    owners = owners_of(parts, request.labels, clients, who=who)
    repair(owners, request.labels, clients, data.classes, who=who)
    return {
        split: [source_of[split][part] for part in by_client(owners[split], clients)]
        for split in SPLITS
    }


def _divided(
    pool: Pool, partitioner: Partitioner, share: float, clients: int, seed: int, who: str
) -> dict[Split, list[Indices]]:
    """Return each client's indices into the merged samples, by split."""
    y = pool.train_y
    parts = partitioner.divide(y, clients, pool.classes, stream(seed, "partition"))
    whole: dict[Split, np.ndarray] = dict.fromkeys(SPLITS, y)
    owners_of(dict.fromkeys(SPLITS, parts), whole, clients, who=who)  # as it should be
    return split_in_three(parts, y, share, stream(seed, "merged split"), who)


def _as_it_is(
    data: ClientArrays, partitioner: Partitioner | None, clients: int | None
) -> Federation:
    n = len(data.clients)
    if partitioner is not None and not partitioner.keeps_clients:
        raise InputError(
            f"The data are already divided among {n} clients and cannot be partitioned again "
            f"({data.source}): leave the partition out, or name 'natural'."
        )
    if clients is not None and clients != n:
        raise InputError(
            f"The data are divided among {n} clients, not {clients} ({data.source}): leave their "
            "number out."
        )
    return Federation.from_arrays(
        data.clients, classes=data.classes, source=data.source, names=data.names
    )


def check_pool(pool: Pool) -> None:
    """Check a data set's result; raise `InputError` if it breaks the rules of `Pool`."""
    if pool.classes < 1:
        raise InputError(
            f"A data set of {pool.classes} classes cannot be divided ({pool.source}): expected at "
            "least one."
        )
    own = _own_validation(pool)
    owners: dict[Split, np.ndarray | None] = {"train": pool.train_owner, "test": pool.test_owner}
    if own:
        owners["val"] = pool.val_owner
    inputs = []
    for split, owner in owners.items():
        (x, y), name = pool.samples(split), SPLIT_WORDS[split]
        check_inputs(x, f"The {name} data of {pool.source}")
        check_labels(y, len(x), pool.classes, f"The {name} labels of {pool.source}")
        inputs.append((f"The {name} data of {pool.source}", x))
        if owner is not None:
            where = f"The clients of the {name} data of {pool.source}"
            check_labels(owner, len(x), len(pool.train_x), where, what="client number")
    check_alike(inputs)
    if len({owner is None for owner in owners.values()}) > 1:
        raise InputError(
            f"Some splits name the clients of their samples and others do not "
            f"({pool.source}): expected both or neither."
        )
    if not own and not 0 < pool.validation < len(pool.train_x):
        raise InputError(
            f"Cannot set aside {pool.validation:,} of {len(pool.train_x):,} training samples for "
            f"validation ({pool.source}): both parts need at least one."
        )
    if pool.client_names is not None and len(pool.client_names) != known_clients(pool):
        raise InputError(
            f"{len(pool.client_names):,} names were given for clients numbered to "
            f"{known_clients(pool) - 1:,} ({pool.source}): expected one for each."
        )
    channels = pool.train_x.shape[1]
    if (pool.mean is None) != (pool.std is None):
        raise InputError(
            f"Only one of mean and std was given ({pool.source}): expected both or neither."
        )
    if pool.mean is not None and pool.std is not None:
        for values in (pool.mean, pool.std):
            if len(values) not in (1, channels) or not np.isfinite(values).all():
                raise InputError(
                    f"The data cannot be normalised by {values} ({pool.source}): expected one "
                    f"number for each of {channels} channels."
                )
        if min(pool.std) <= 0:
            raise InputError(
                f"The std {pool.std} cannot normalise ({pool.source}): expected numbers above 0."
            )


def _own_validation(pool: Pool) -> bool:
    """Return whether the data bring a validation pool."""
    parts = (pool.val_x is not None, pool.val_y is not None)
    if any(parts) != all(parts) or (all(parts) and pool.validation):
        raise InputError(
            f"The validation pool must be either val_x and val_y, or drawn from the training "
            f"samples ({pool.source}): expected one of the two, validation=0 with arrays."
        )
    return all(parts)


def known_clients(pool: Pool) -> int:
    """Return the number of clients in the data; 0 if they name none."""
    return 0 if pool.train_owner is None else int(pool.train_owner.max()) + 1


def number_of_clients(pool: Pool, clients: int | None) -> int:
    """Return the number of clients of a federation of the pool, with `clients` requested.

    Raises
    ------
    InputError
        Neither the data nor the request gives a number, or it is below one.
    """
    if clients is None:
        if pool.train_owner is None:
            raise InputError(
                f"The data have no client ids ({pool.source}): give the number of clients, such as "
                "--clients 10."
            )
        return known_clients(pool)
    if clients < 1:
        raise InputError(f"A federation of {clients} clients cannot be made: expected 1 or more.")
    return clients


def splits_of(pool: Pool, clients: int, seed: int) -> tuple[dict[Split, Indices], PartitionRequest]:
    """Split off the validation pool, unless the data bring one.

    Returns
    -------
    Each split's indices into `Pool.samples`, and the request.
    """
    y = {split: pool.samples(split)[1].astype(np.int64) for split in SPLITS}
    known = {"train": pool.train_owner, "val": pool.val_owner, "test": pool.test_owner}
    if pool.val_x is None:
        known["val"] = pool.train_owner
        owner = None if pool.train_owner is None else pool.train_owner.astype(np.int64)
        train, val = hold_out(y["train"], owner, pool.validation, stream(seed, "validation"))
    else:
        train, val = np.arange(len(y["train"])), np.arange(len(y["val"]))
    index: dict[Split, Indices] = {"train": train, "val": val, "test": np.arange(len(y["test"]))}
    owners: dict[Split, np.ndarray] | None = {}
    for split in SPLITS:
        of = known[split]
        if of is None or owners is None:
            owners = None
        else:
            owners[split] = of.astype(np.int64)[index[split]]
    labels = {split: y[split][index[split]] for split in SPLITS}
    return index, PartitionRequest(labels, owners, clients, pool.classes, pool.client_names)


def _gather(pool: Pool, split: Split, index: list[Indices], partitioner: Partitioner) -> Shards:
    """Collect the clients' samples as their clients see them, in one block."""
    x, y = pool.samples(split)
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in index])]).astype(np.int64)
    dtype = torch.int64 if is_tokens(x) else torch.float32
    block = torch.empty((int(offsets[-1]), *x.shape[1:]), dtype=dtype)
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
