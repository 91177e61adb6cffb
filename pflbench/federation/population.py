"""Populations: some clients of a federation are made different, after the partition.

A population chooses the group of each client and changes the samples of some. A client's number
of samples in each split never changes, so runs with and without different clients can be
compared sample for sample.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from pflbench.errors import InputError
from pflbench.federation.allocation import Indices
from pflbench.federation.arrays import ContentHash, to_inputs, to_labels
from pflbench.federation.assembly import check_pool, normalise, splits_of
from pflbench.federation.pool import Pool
from pflbench.federation.shards import Federation, Shards
from pflbench.federation.splits import SPLIT_WORDS, SPLITS, Split
from pflbench.schema.shares import ShareOf
from pflbench.streams import stream

CLIENTS: Final = ShareOf()
"""Any share of the clients."""

Transform = Callable[[int, Tensor], Tensor]
"""How a client sees inputs in [0, 1]: `Partitioner.transform`."""


class Outsiders:
    """The samples of another data set, each assigned once.

    Parameters
    ----------
    pool
        The other data set; its validation pool is split off as if it were a run's own.
    federation
        The federation that they join.
    seed
        Names the streams that they are drawn from.
    transform
        How a client sees its inputs: a client from elsewhere sees them as the partition says.

    Raises
    ------
    InputError
        The samples do not fit the federation, or are its own.
    """

    def __init__(
        self, pool: Pool, federation: Federation, seed: int, transform: Transform | None
    ) -> None:
        check_pool(pool)
        shape = tuple(pool.train_x.shape[1:])
        if shape != federation.input_shape or pool.classes != federation.classes:
            raise InputError(
                f"Clients of {pool.source} cannot join {federation.source}: its samples have "
                f"shape {shape} and {pool.classes} classes, expected shape "
                f"{federation.input_shape} and {federation.classes} classes."
            )
        self.fingerprint = pool.fingerprint
        if self.fingerprint == federation.fingerprint:
            raise InputError(
                f"Clients of {pool.source} are not foreign among clients of the same data: "
                "expected another data set."
            )
        self.pool, self._transform = pool, transform
        index, request = splits_of(pool, 1, seed)
        self._left: dict[Split, list[Indices]] = {}
        self.total: dict[Split, int] = {}
        for number, split in enumerate(SPLITS):
            shuffled = stream(seed, "population outsiders", number).permutation(index[split])
            of = pool.samples(split)[1][shuffled].astype(np.int64)
            self._left[split] = [shuffled[of == c] for c in range(pool.classes)]
            self.total[split] = len(request.labels[split])

    def draw(self, client: int, split: Split, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return samples for a client [n, *shape] and their labels [n]: y, while they last.

        Where a class runs out, samples of the class with most left take the place.

        Raises
        ------
        InputError
            Fewer than n are left.
        """
        left, wanted = self._left[split], y.numpy()
        if sum(map(len, left)) < len(wanted):
            raise InputError(
                f"The number of {SPLIT_WORDS[split]} samples is {self.total[split]:,}, too few for "
                f"the clients that are to come from {self.pool.source}: expected a smaller share "
                "of clients."
            )
        index = np.full(len(wanted), -1, dtype=np.int64)
        for c in np.unique(wanted):
            places = np.flatnonzero(wanted == c)[: len(left[c])]
            index[places], left[c] = left[c][: len(places)], left[c][len(places) :]
        while (index < 0).any():
            c = max(range(len(left)), key=lambda c: len(left[c]))
            places = np.flatnonzero(index < 0)[: len(left[c])]
            index[places], left[c] = left[c][: len(places)], left[c][len(places) :]
        pool = self.pool
        inputs, labels = pool.samples(split)
        x = to_inputs(inputs[index])
        if self._transform is not None:
            x = self._transform(client, x)
        normalise(x, pool.mean, pool.std)
        return x, to_labels(labels[index])


@dataclass(frozen=True, eq=False)
class Member:
    """One client, as a population meets it.

    Attributes
    ----------
    client, group
        Its number, and the group that it belongs to.
    classes
        Number of classes C.
    seed
        Of the run.
    outsiders
        The other data set that the population named, or None.
    """

    client: int
    group: int
    classes: int
    seed: int
    outsiders: Outsiders | None = None

    def own(self) -> np.random.Generator:
        """Return this client's random stream, from its beginning: the same for every split."""
        return stream(self.seed, "population client", self.client)

    def common(self) -> np.random.Generator:
        """Return the random stream of its group, from its beginning."""
        return stream(self.seed, "population group", self.group)

    def draw(self, split: Split, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return samples of the other data set with the labels y [n], and their labels."""
        if self.outsiders is None:
            raise InputError("This population names no other data set to draw samples from.")
        return self.outsiders.draw(self.client, split, y)


class Population:
    """Base of all populations: one object per federation, made from its parameters.

    A parameter called `dataset` names a data set as `--dataset` does: the path after its colon
    does not affect a run's identity, the data's content does.
    """

    def __init__(self, parameters: Any) -> None:
        self.parameters = parameters

    def other(self) -> str | None:
        """Return the further data set that clients come from, as `--dataset` writes it."""
        return None

    def groups(self, clients: int, rng: np.random.Generator) -> np.ndarray:
        """Return each client's group [N], from 0; clients of group 0 stay as they are.

        Raises
        ------
        pflbench.errors.InputError
            This number of clients cannot be grouped.
        """
        raise NotImplementedError

    def change(self, member: Member, split: Split, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the changed inputs x [n, *shape] and labels y [n] of a client.

        Called for every split of every client that is not in group 0; it must not change x and y,
        and the results have their shapes.
        """
        raise NotImplementedError

    def coordinates(self, members: Sequence[Member], known: np.ndarray | None) -> np.ndarray | None:
        """Return points [N, k] that are close to each other for clients with similar data.

        Without a word to the contrary, groups are as far from each other as can be: to the
        coordinates `known` without this population, one for each group is added.

        Returns
        -------
        None if it is unknown how clients relate.
        """
        groups = np.array([member.group for member in members])
        own = np.eye(int(groups.max()) + 1)[groups]
        return own if known is None else np.concatenate([known, own], axis=1)


def chosen(
    clients: int, share: float, rng: np.random.Generator, of: ShareOf = CLIENTS
) -> np.ndarray:
    """Return groups [N]: 1 for a share of the clients, 0 for the others.

    Parameters
    ----------
    clients
        Number of clients N.
    share
        Of the clients that are in group 1: `pflbench.schema.shares` says how many that is.
    rng
        Draws the clients.
    of
        How many they may be: as the parameter declares (`param(share_of=...)`).
    """
    groups = np.zeros(clients, dtype=np.int64)
    groups[rng.permutation(clients)[: of.count(share, clients)]] = 1
    return groups


def populate(
    federation: Federation,
    population: Population,
    seed: int,
    *,
    name: str,
    shown: str = "",
    other: Pool | None = None,
    transform: Transform | None = None,
) -> Federation:
    """Make some clients of a federation different from the others.

    Parameters
    ----------
    federation
        As partitioned; it is not changed.
    population
        Which clients differ, and how.
    seed
        Names every random stream.
    name
        The population with its parameters and version: a part of the fingerprint.
    shown
        The same without its version, for display; "" for `name`.
    other
        The data set that `population.other` named.
    transform
        The partition's transform of inputs, for samples of the other data set.

    Returns
    -------
    Federation
        With `groups`, and `coordinates` if known; sizes and classes are the same, fingerprint and
        index hashes differ.

    Raises
    ------
    InputError
        The population cannot be made.
    """
    n = federation.clients
    groups = np.asarray(population.groups(n, stream(seed, "population")))
    if groups.shape != (n,) or groups.dtype.kind not in "iu" or groups.min() < 0:
        raise InputError(
            f"The population {name} returned groups of shape {groups.shape} and type "
            f"{groups.dtype}, expected a whole number from 0 for each of {n} clients."
        )
    outsiders = None if other is None else Outsiders(other, federation, seed, transform)
    members = [Member(i, int(groups[i]), federation.classes, seed, outsiders) for i in range(n)]
    unlike = [member for member in members if member.group]
    shards = {split: _changed(federation, split, population, unlike, name) for split in SPLITS}
    term = _term(name, None if outsiders is None else outsiders.fingerprint)
    before = federation.index_hashes
    hashes = {split: _hash(before.get(split, ""), term, shards[split], groups) for split in SPLITS}
    source = f"{federation.source}; {len(unlike)} of {n} clients by {shown or name}"
    return dataclasses.replace(
        federation,
        train=shards["train"],
        val=shards["val"],
        test=shards["test"],
        fingerprint=_populated(federation.fingerprint, term),
        source=source if other is None else f"{source}, {other.source}",
        index_hashes=hashes,
        coordinates=population.coordinates(members, federation.coordinates),
        groups=groups.astype(np.int64),
    )


def populated_fingerprint(before: str, name: str, other: Pool | None) -> str:
    """Return the fingerprint that `populate` gives a federation, without making one."""
    return _populated(before, _term(name, None if other is None else other.fingerprint))


def _term(name: str, outsiders: str | None) -> str:
    term = ContentHash()
    term.value((name, outsiders))
    return term.hexdigest()


def _populated(before: str, term: str) -> str:
    whole = ContentHash()
    whole.value((before, term))
    return whole.hexdigest()


def _changed(
    federation: Federation,
    split: Split,
    population: Population,
    unlike: Sequence[Member],
    name: str,
) -> Shards:
    """Return one split with the samples of some clients changed; the others share memory."""
    shards = federation.split(split)
    x, y = shards.x, shards.y
    for member in unlike:
        place = slice(int(shards.offsets[member.client]), int(shards.offsets[member.client + 1]))
        seen, labels = population.change(member, split, shards.x[place], shards.y[place])
        if seen.shape != x[place].shape or labels.shape != y[place].shape:
            raise InputError(
                f"The population {name} turned samples of shape {list(x[place].shape)} into "
                f"{list(seen.shape)} with {len(labels)} labels, expected the same shape."
            )
        if int(labels.min()) < 0 or int(labels.max()) >= member.classes:
            raise InputError(
                f"The population {name} gave {federation.called(member.client)} a label outside 0 "
                f"to {member.classes - 1}."
            )
        if seen.data_ptr() != shards.x[place].data_ptr():
            if not torch.isfinite(seen.sum(dtype=torch.float64)):
                raise InputError(
                    f"The population {name} gave {federation.called(member.client)} a value that "
                    "is NaN or infinite."
                )
            x = x.clone() if x is shards.x else x
            x[place] = seen
        y = y.clone() if y is shards.y else y
        y[place] = labels
    return Shards(x, y, shards.offsets)


def _hash(before: str, term: str, shards: Shards, groups: np.ndarray) -> str:
    """Hash everything that decides a split's samples: the old split, and the changes by client."""
    content = ContentHash()
    content.value((before, term))
    content.integers(groups)
    content.integers(shards.y.numpy())
    return content.hexdigest()


def check_other(data: object, written: str) -> Pool:
    """Return a further data set's samples.

    Raises
    ------
    InputError
        They are divided among clients already.
    """
    if not isinstance(data, Pool):
        raise InputError(
            f"{written} is divided among clients already and cannot be given out to others: "
            "expected a data set such as npz:FILE without clients."
        )
    return data
