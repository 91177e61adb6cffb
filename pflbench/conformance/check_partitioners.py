"""Checks of partitioners: they end, give no sample twice, and draw from their stream only."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch

from pflbench.conformance.catalogue import Catalogue, CheckFailed, Skipped, Subject
from pflbench.conformance.lab import scrambled
from pflbench.errors import InputError
from pflbench.federation import SPLITS, Partitioner, PartitionRequest, Pool, Split, build
from pflbench.schema.specs import PartitionerSpec, resolve
from pflbench.streams import stream

CHECKS = Catalogue()

CLASSES = 10
_SECONDS = 10.0
_SIZES: dict[Split, int] = {"train": 600, "val": 200, "test": 240}
_ASKED: Final = ((7, 1), (1, 1), (20, 100))
"""Numbers of clients, and how often the sizes are repeated: some rules fit only some of these."""


@CHECKS.add("every sample is assigned at most once, to existing clients")
def gives_out_once(subject: Subject) -> None:
    """N lists for each split, of indices in range, none twice."""
    refused = []
    for clients, times in (*_ASKED, (40, 1)):
        request = _request(clients, times)
        try:
            parts, sizes = _given_out(_make(subject), request, stream(0, "partition"))
        except InputError as error:  # some rules fit some numbers of clients only
            refused.append(str(error))
            continue
        if set(parts) != set(SPLITS):
            raise CheckFailed(f"It returns the splits {sorted(parts)}, expected {sorted(SPLITS)}.")
        for split in SPLITS:
            where = f"{split} among {clients} clients"
            if len(parts[split]) != clients:
                raise CheckFailed(f"{where}: {len(parts[split])} lists.")
            given = np.concatenate([np.asarray(part) for part in parts[split]])
            if given.dtype.kind not in "iu":
                raise CheckFailed(f"{where}: indices of type {given.dtype}.")
            if len(given) and (given.min() < 0 or given.max() >= sizes[split]):
                raise CheckFailed(f"{where}: an index outside 0 to {sizes[split] - 1}.")
            if len(np.unique(given)) != len(given):
                raise CheckFailed(f"{where}: a sample is given out twice.")
            if not len(given):
                raise CheckFailed(f"{where}: no sample is given out.")
    if len(refused) > len(_ASKED):
        raise CheckFailed(f"It refuses all numbers of clients: {refused[0]}")


@CHECKS.add("same stream, same partition")
def deterministic(subject: Subject) -> None:
    """Independently of earlier draws in the process."""
    drawn: list[list[np.ndarray]] = []
    for clients, times in _ASKED:
        if len(drawn) == 2:
            break
        drawn = []
        with contextlib.suppress(InputError):
            for number in (1, 2):
                with scrambled(number):
                    request = _request(clients, times)
                    parts, _ = _given_out(_make(subject), request, stream(3, "partition"))
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
            _given_out(_make(subject), request, stream(0, "partition"))
        seconds = time.perf_counter() - began
        if seconds > _SECONDS:
            raise CheckFailed(f"{words} took {seconds:.0f} seconds.")


@CHECKS.add("a federation can be made with it")
def makes_a_federation(subject: Subject) -> None:
    """Every client ends with a sample of each split, finite, of the shape it had."""
    refused: list[str] = []
    for clients, times in _ASKED:
        if times > 1 and len(refused) < len(_ASKED) - 1:
            break  # fewer samples will do
        try:
            made = build(_pool(clients, times), _make(subject), clients, seed=0)
        except InputError as error:
            refused.append(str(error))
            continue
        for split in SPLITS:
            shards = made.split(split)
            if int(shards.sizes.min()) < 1 or len(shards.sizes) != clients:
                raise CheckFailed(f"{split} among {clients} clients: a client has no sample.")
            if not torch.isfinite(shards.x).all():
                raise CheckFailed(f"{split} among {clients} clients: a value is not finite.")
    if len(refused) == len(_ASKED):
        raise CheckFailed(f"It refuses all numbers of clients: {refused[0]}")


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
    if getattr(subject.parameters, "file", None) == "":
        raise Skipped("its partition is in a file, and none is named")
    made: Any = resolve(subject.spec.make, owner=f"partitioner {subject.spec.name!r}")
    partitioner = made(subject.parameters)
    if not isinstance(partitioner, Partitioner):
        raise CheckFailed(f"{subject.spec.make} is not a pflbench.federation.Partitioner.")
    return partitioner


def _given_out(
    partitioner: Partitioner, request: PartitionRequest, rng: np.random.Generator
) -> tuple[Mapping[Split, Sequence[np.ndarray]], Mapping[Split, int]]:
    """Return each client's indices by split, and how many samples these may be of."""
    if partitioner.train_share is None:
        sizes = {split: len(y) for split, y in request.labels.items()}
        return partitioner.assign(request, rng), sizes
    labels = np.concatenate([request.labels[split] for split in SPLITS])
    parts = partitioner.divide(labels, request.clients, request.classes, rng)
    return dict.fromkeys(SPLITS, parts), dict.fromkeys(SPLITS, len(labels))


def _request(clients: int, times: int = 1, *, one_class: bool = False) -> PartitionRequest:
    rng = stream(0, "conformance", clients)
    sizes = {split: n * times for split, n in _SIZES.items()}
    labels = {s: rng.integers(0, 1 if one_class else CLASSES, n) for s, n in sizes.items()}
    owners = {s: rng.permutation(np.arange(n) % clients) for s, n in sizes.items()}
    return PartitionRequest(labels, owners, clients, CLASSES)


def _pool(clients: int, times: int = 1) -> Pool:
    rng = stream(0, "conformance pool", clients)
    train, test = _SIZES["train"] + _SIZES["val"], _SIZES["test"]
    sizes = (("train", train * times), ("test", test * times))
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
        _SIZES["val"] * times,
        train_owner=owner["train"],
        test_owner=owner["test"],
    )
