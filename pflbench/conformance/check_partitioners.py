"""Checks of partitioners: they end, give no sample twice, and draw from their stream only."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import numpy as np
import torch

from pflbench.conformance.catalogue import Catalogue, CheckFailed, Subject
from pflbench.conformance.lab import scrambled
from pflbench.errors import InputError
from pflbench.federation import SPLITS, Partitioner, PartitionRequest, Pool, Split, build
from pflbench.schema.specs import PartitionerSpec, resolve
from pflbench.streams import stream

CHECKS = Catalogue()

CLASSES = 10
_SECONDS = 10.0
_SIZES: dict[Split, int] = {"train": 600, "val": 200, "test": 240}


@CHECKS.add("every sample is assigned at most once, to existing clients")
def gives_out_once(subject: Subject) -> None:
    """N lists for each split, of indices in range, none twice."""
    for clients in (1, 7, 40):
        request = _request(clients)
        parts = _make(subject).assign(request, stream(0, "partition"))
        if set(parts) != set(SPLITS):
            raise CheckFailed(f"It returns the splits {sorted(parts)}, expected {sorted(SPLITS)}.")
        for split in SPLITS:
            where = f"{split} among {clients} clients"
            if len(parts[split]) != clients:
                raise CheckFailed(f"{where}: {len(parts[split])} lists.")
            given = np.concatenate([np.asarray(part) for part in parts[split]])
            if given.dtype.kind not in "iu":
                raise CheckFailed(f"{where}: indices of type {given.dtype}.")
            if len(given) and (given.min() < 0 or given.max() >= _SIZES[split]):
                raise CheckFailed(f"{where}: an index outside 0 to {_SIZES[split] - 1}.")
            if len(np.unique(given)) != len(given):
                raise CheckFailed(f"{where}: a sample is given out twice.")
            if not len(given):
                raise CheckFailed(f"{where}: no sample is given out.")


@CHECKS.add("same stream, same partition")
def deterministic(subject: Subject) -> None:
    """Independently of earlier draws in the process."""
    drawn = []
    for number in (1, 2):
        with scrambled(number):
            parts = _make(subject).assign(_request(7), stream(3, "partition"))
        drawn.append([np.asarray(part) for split in SPLITS for part in parts[split]])
    if not all(np.array_equal(a, b) for a, b in zip(*drawn, strict=True)):
        raise CheckFailed("Two partitions from one stream differ: draw from the generator given.")


@CHECKS.add("hard requests end, in time")
def ends(subject: Subject) -> None:
    """Few samples a client, and labels of one class."""
    hard = (("200 clients", _request(200)), ("labels of one class", _request(7, one_class=True)))
    for words, request in hard:
        began = time.perf_counter()
        with contextlib.suppress(InputError):  # a clear refusal is an end, too
            _make(subject).assign(request, stream(0, "partition"))
        seconds = time.perf_counter() - began
        if seconds > _SECONDS:
            raise CheckFailed(f"{words} took {seconds:.0f} seconds.")


@CHECKS.add("a federation can be made with it")
def makes_a_federation(subject: Subject) -> None:
    """Every client ends with a sample of each split, finite, of the shape it had."""
    for clients in (1, 7):
        made = build(_pool(clients), _make(subject), clients, seed=0)
        for split in SPLITS:
            shards = made.split(split)
            if int(shards.sizes.min()) < 1 or len(shards.sizes) != clients:
                raise CheckFailed(f"{split} among {clients} clients: a client has no sample.")
            if not torch.isfinite(shards.x).all():
                raise CheckFailed(f"{split} among {clients} clients: a value is not finite.")


@CHECKS.add("inputs are transformed sample by sample")
def transforms_by_sample(subject: Subject) -> None:
    """The same shape and the same values, independently of other samples."""
    partitioner = _make(subject)
    x = torch.from_numpy(stream(0, "conformance").random((5, 1, 8, 8), dtype=np.float32))
    for client in range(3):
        whole = partitioner.transform(client, x.clone())
        if whole.shape != x.shape or not torch.isfinite(whole).all():
            raise CheckFailed(f"Samples of shape {tuple(x.shape)} became {tuple(whole.shape)}.")
        single = torch.cat(
            [partitioner.transform(client, part.clone()) for part in torch.split(x, 1)]
        )
        if not torch.allclose(single, whole, atol=1e-6):
            raise CheckFailed("A sample is transformed otherwise when others come along.")


def _make(subject: Subject) -> Partitioner:
    assert isinstance(subject.spec, PartitionerSpec)
    made: Any = resolve(subject.spec.make, owner=f"partitioner {subject.spec.name!r}")
    partitioner = made(subject.parameters)
    if not isinstance(partitioner, Partitioner):
        raise CheckFailed(f"{subject.spec.make} is not a pflbench.federation.Partitioner.")
    return partitioner


def _request(clients: int, *, one_class: bool = False) -> PartitionRequest:
    rng = stream(0, "conformance", clients)
    labels = {s: rng.integers(0, 1 if one_class else CLASSES, n) for s, n in _SIZES.items()}
    owners = {s: rng.permutation(np.arange(n) % clients) for s, n in _SIZES.items()}
    return PartitionRequest(labels, owners, clients, CLASSES)


def _pool(clients: int) -> Pool:
    rng = stream(0, "conformance pool", clients)
    sizes = (("train", _SIZES["train"] + _SIZES["val"]), ("test", _SIZES["test"]))
    x = {s: rng.integers(0, 256, (n, 1, 8, 8), dtype=np.uint8) for s, n in sizes}
    y = {s: rng.integers(0, CLASSES, n) for s, n in sizes}
    owner = {s: np.arange(n) % clients for s, n in sizes}
    return Pool(
        x["train"],
        y["train"],
        x["test"],
        y["test"],
        CLASSES,
        "made-up images",
        _SIZES["val"],
        train_owner=owner["train"],
        test_owner=owner["test"],
    )
