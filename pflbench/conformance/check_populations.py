"""Checks of populations: they change only the named clients, and draw only from their streams."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pflbench.conformance.catalogue import Catalogue, CheckFailed, Subject
from pflbench.conformance.lab import scrambled
from pflbench.errors import InputError
from pflbench.federation import SPLITS, Federation, Pool, Population, Split, populate
from pflbench.schema.specs import PopulationSpec, resolve
from pflbench.streams import stream

CHECKS = Catalogue()

CLIENTS = 12
CLASSES = 4
_SIZES: dict[Split, int] = {"train": 24, "val": 12, "test": 16}


@CHECKS.add("clients outside group 0 are changed, in every split")
def changes_some(subject: Subject) -> None:
    """Sizes and classes stay, which is refused otherwise; some client is outside group 0."""
    before, after = _base(), _made(subject)
    if after.groups is None or not (after.groups > 0).any():
        raise CheckFailed("No client is in another group than 0.")
    for split in SPLITS:
        old, new = before.split(split), after.split(split)
        for i, group in enumerate(after.groups):
            same = all(torch.equal(a, b) for a, b in zip(old.client(i), new.client(i), strict=True))
            if same and group:
                raise CheckFailed(f"{split}: client {i} of group {group} is unchanged.")
            if not same and not group:
                raise CheckFailed(f"{split}: client {i} of group 0 was changed.")


@CHECKS.add("same seed, same population")
def deterministic(subject: Subject) -> None:
    """Independently of earlier draws in the process."""
    made = []
    for number in (1, 2):
        with scrambled(number):
            made.append(_made(subject, seed=3))
    one, two = made
    for split in SPLITS:
        a, b = one.split(split), two.split(split)
        if not (torch.equal(a.x, b.x) and torch.equal(a.y, b.y)):
            raise CheckFailed(f"{split}: one seed gave two populations; draw from the streams.")
    if not np.array_equal(_groups(one), _groups(two)):
        raise CheckFailed("One seed gave two ways to group the clients.")


@CHECKS.add("the data it was made from is unchanged")
def leaves_the_data(subject: Subject) -> None:
    """Other runs are made from the same arrays."""
    base = _base()
    kept = {split: (base.split(split).x.clone(), base.split(split).y.clone()) for split in SPLITS}
    _made(subject, base)
    for split in SPLITS:
        x, y = kept[split]
        if not (torch.equal(base.split(split).x, x) and torch.equal(base.split(split).y, y)):
            raise CheckFailed(f"{split}: the federation that it was given was changed.")


@CHECKS.add("few clients are grouped, or refused in one sentence")
def takes_few_clients(subject: Subject) -> None:
    """One, two and three clients."""
    population = _population(subject)
    for clients in (1, 2, 3):
        try:
            groups = np.asarray(population.groups(clients, stream(0, "population")))
        except InputError:  # a clear refusal
            continue
        if groups.shape != (clients,) or groups.dtype.kind not in "iu" or groups.min() < 0:
            raise CheckFailed(f"{clients} clients: {groups!r} is not a group for each.")


def _population(subject: Subject) -> Population:
    assert isinstance(subject.spec, PopulationSpec)
    make: Any = resolve(subject.spec.make, owner=f"population {subject.spec.name!r}")
    population = make(subject.parameters)
    if not isinstance(population, Population):
        raise CheckFailed(f"{subject.spec.make} is not a pflbench.federation.Population.")
    return population


def _made(subject: Subject, base: Federation | None = None, seed: int = 0) -> Federation:
    population = _population(subject)
    other = None if population.other() is None else _others()
    return populate(
        _base() if base is None else base, population, seed, name=subject.spec.name, other=other
    )


def _base() -> Federation:
    """Return a federation in which every client has samples of every class in every split."""
    rng = stream(0, "conformance population")
    clients = []
    for _ in range(CLIENTS):
        arrays: dict[str, np.ndarray] = {}
        for split, n in _SIZES.items():
            arrays[f"{split}_x"] = rng.integers(0, 256, (n, 1, 8, 8), dtype=np.uint8)
            arrays[f"{split}_y"] = np.arange(n) % CLASSES
        clients.append(arrays)
    return Federation.from_arrays(clients, CLASSES, source="made-up images")


def _groups(federation: Federation) -> np.ndarray:
    assert federation.groups is not None
    return federation.groups


def _others() -> Pool:
    rng = stream(0, "conformance population others")
    train, test = CLIENTS * (_SIZES["train"] + _SIZES["val"]), CLIENTS * _SIZES["test"]
    x = {n: rng.integers(0, 256, (n, 1, 8, 8), dtype=np.uint8) for n in (train, test)}
    y = {n: np.arange(n) % CLASSES for n in (train, test)}
    validation = CLIENTS * _SIZES["val"]
    return Pool(x[train], y[train], x[test], y[test], CLASSES, "other images", validation)
