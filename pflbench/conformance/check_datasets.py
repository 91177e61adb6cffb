"""Checks of data sets whose files are on this machine: nothing is downloaded for a check."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from pflbench.conformance.catalogue import Catalogue, CheckFailed, Skipped, Subject
from pflbench.errors import InputError
from pflbench.federation import SPLITS, ClientArrays, DataRequest, Pool, build
from pflbench.schema.paths import path_of
from pflbench.schema.plugin_choice import choose
from pflbench.schema.plugins import Registry, Shelf
from pflbench.schema.specs import DatasetSpec, resolve

CHECKS = Catalogue()


@CHECKS.add("its reference scenario names existing plugins")
def reference_is_valid(subject: Subject) -> None:
    """Partitioner and model are registered, and the local budget is one of epochs and steps."""
    reference = _spec(subject).reference
    registry = subject.registry
    _part(registry, registry.partitioners, reference.partition)
    _part(registry, registry.models, reference.model)
    if (reference.local_epochs is None) == (reference.local_steps is None):
        raise CheckFailed("The reference has not exactly one of local_epochs and local_steps.")
    positive = (reference.rounds, reference.batch_size, reference.lr, reference.eval_every)
    if min(positive) <= 0 or not 0 < reference.participation <= 1:
        raise CheckFailed("A number of the reference is out of its range.")


@CHECKS.add("its reference federation can be made")
def reference_federation(subject: Subject) -> None:
    """The data are as the interface says, and the reference partitioner divides them."""
    data = _load(subject)
    reference = _spec(subject).reference
    partitioner: Any = None
    clients = None
    if isinstance(data, Pool):
        registry = subject.registry
        spec, values = _part(registry, registry.partitioners, reference.partition)
        partitioner = resolve(spec.make, owner=spec.name)(values)
        clients = reference.clients
    made = build(data, partitioner, clients, seed=0)
    for split in SPLITS:
        if int(made.split(split).sizes.min()) < 1:
            raise CheckFailed(f"A client has no {split} sample.")


@CHECKS.add("loading twice gives the same data")
def loads_the_same(subject: Subject) -> None:
    """Array by array."""
    first, again = _load(subject), _load(subject)
    for name, a, b in _arrays(first, again):
        if not np.array_equal(a, b):
            raise CheckFailed(f"{name} differs from one load to the next.")


def _spec(subject: Subject) -> DatasetSpec:
    assert isinstance(subject.spec, DatasetSpec)
    return subject.spec


def _part(registry: Registry, shelf: Shelf[Any], text: str) -> tuple[Any, Any]:
    found = choose(text, shelf, registry, example="dirichlet(alpha=0.1)")
    return found.spec, found.parameters


def _load(subject: Subject) -> Pool | ClientArrays:
    spec = _spec(subject)
    if spec.takes_path and not subject.path:
        raise Skipped(f"it takes a path: check {spec.name}:PATH")
    folder = os.environ.get("PFLBENCH_DATA")
    request = DataRequest(
        spec.name,
        path_of(subject.path, f"{spec.name}:PATH") if subject.path else None,
        path_of(folder, "PFLBENCH_DATA") if folder else None,
        download=False,
    )
    load: Any = resolve(spec.load, owner=f"data set {spec.name!r}")
    try:
        data = load(request)
    except InputError as error:
        if spec.takes_path:
            raise
        raise Skipped(f"its files are not on this machine: {error}") from error
    if not isinstance(data, Pool | ClientArrays):
        raise CheckFailed(f"load returned {type(data).__name__}, expected Pool or ClientArrays.")
    return data


def _arrays(a: Pool | ClientArrays, b: Pool | ClientArrays) -> list[tuple[str, Any, Any]]:
    if isinstance(a, Pool) and isinstance(b, Pool):
        names = ("train_x", "train_y", "val_x", "val_y", "test_x", "test_y")
        pools = [(name, getattr(a, name), getattr(b, name)) for name in names]
        return [pair for pair in pools if pair[1] is not None or pair[2] is not None]
    if isinstance(a, ClientArrays) and isinstance(b, ClientArrays):
        pairs = enumerate(zip(a.clients, b.clients, strict=True))
        return [(f"{n} of client {i}", x[n], y[n]) for i, (x, y) in pairs for n in x]
    raise CheckFailed("One load gave a pool, the next one clients.")
