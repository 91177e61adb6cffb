"""Checks of similarity measures: the clients' descriptions, and their comparison."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pflbench.conformance.catalogue import Catalogue, CheckFailed, Subject
from pflbench.conformance.lab import (
    CLASSES,
    CLOSE,
    SGD,
    distance,
    federation,
    perceptron,
    scrambled,
)
from pflbench.engine.enrolment import enrolments
from pflbench.engine.initial import own_weights
from pflbench.engine.interface import LocalShards
from pflbench.federation import Federation
from pflbench.method import (
    Client,
    Layout,
    LocalBudget,
    LocalData,
    Message,
    Rows,
    Setup,
    Similarity,
    Task,
)
from pflbench.schema.specs import SimilaritySpec, resolve

CHECKS = Catalogue()

_SIZES = (9, 12, 12, 1, 7, 12)
_DIMENSIONS = (1, 3)


class _Teller(Client[Similarity]):
    """Enrols with a measure's description."""

    def enrol(self, data: LocalData) -> Message:
        return self.parameters.describe(data.train, self.task)


@CHECKS.add("descriptions are tensors, the same mapped over clients as one by one")
def tells_the_same_mapped(subject: Subject) -> None:
    """Named tensors; clients of one size may be described together."""
    for measure in _measures(subject):
        alone, together = (_told(measure, mapped=mapped) for mapped in (False, True))
        for i, (one, other) in enumerate(zip(alone, together, strict=True)):
            if not one or not all(isinstance(value, Tensor) for value in one.values()):
                raise CheckFailed(f"Client {i} returned {one!r}, expected named tensors.")
            if one.keys() != other.keys():
                raise CheckFailed(f"Mapped, client {i} returns {sorted(other)}, not {sorted(one)}.")
        # A sign may be arbitrary in a description; in a comparison it is not.
        _expect_close(
            _all(measure, together), _all(measure, alone), "Mapped descriptions, compared"
        )


@CHECKS.add("a block of clients compares as it does among all")
def compares_in_blocks(subject: Subject) -> None:
    """[B, N] similarities of B clients to N, in any company, with and without `best`."""
    for measure in _measures(subject):
        known = _known(measure, _told(measure))
        whole = measure.compare(known, known)
        n = len(_SIZES)
        if tuple(whole.shape) != (n, n):
            raise CheckFailed(f"{n} clients against {n} gave {tuple(whole.shape)}, not ({n}, {n}).")
        if not whole.isfinite().all():
            raise CheckFailed("Without `best`, a similarity is NaN or infinite.")
        for rows in (slice(0, 1), slice(1, 4), slice(4, 6)):
            block = {name: tensor[rows] for name, tensor in known.items()}
            _expect_close(measure.compare(block, known), whole[rows], f"Rows {rows}")
        some = {name: tensor[2:] for name, tensor in known.items()}
        _expect_close(measure.compare(known, some), whole[:, 2:], "Against fewer clients, a row")
        best = measure.compare(known, known, 2)
        _expect_close(
            best.topk(2, dim=1).values, whole.topk(2, dim=1).values, "With best=2, the largest"
        )


@CHECKS.add("same clients, same similarities")
def draws_from_the_seed(subject: Subject) -> None:
    """Independently of earlier draws in the process."""
    for measure in _measures(subject):
        found = []
        for number in (1, 2):
            with scrambled(number):
                found.append(_all(measure, _told(measure)))
        _expect_close(found[1], found[0], "Compared again, a similarity")


def _measures(subject: Subject) -> list[Similarity]:
    assert isinstance(subject.spec, SimilaritySpec)
    made: Any = resolve(subject.spec.make, owner=f"similarity {subject.spec.name!r}")
    found = [made(dim) for dim in _DIMENSIONS]
    if not all(isinstance(measure, Similarity) for measure in found):
        raise CheckFailed(f"{subject.spec.make} is not a pflbench.method.Similarity.")
    return found


def _told(measure: Similarity, *, mapped: bool = False) -> list[Message]:
    data, module = _federation(), perceptron()
    layout = Layout.of(module, "layer_output.")
    budget = LocalBudget(4, steps=1)
    task = Task(module, layout, own_weights(module, layout, torch.float32), CLASSES, SGD, budget)
    shards = LocalShards(data.train, data.val)
    everyone = range(len(_SIZES))
    return enrolments(_Teller(measure, task), shards, torch.float32, everyone, mapped=mapped)


def _known(measure: Similarity, told: list[Message]) -> Rows:
    data, module = _federation(), perceptron()
    layout = Layout.of(module, "layer_output.")
    setup = Setup(
        layout,
        own_weights(module, layout, torch.float32),
        data.clients,
        CLASSES,
        0,
        coordinates=data.coordinates,
    )
    stacked = {name: torch.stack([message[name] for message in told]) for name in told[0]}
    return measure.prepare(stacked, torch.arange(data.clients), setup)


def _all(measure: Similarity, told: list[Message]) -> Tensor:
    known = _known(measure, told)
    return measure.compare(known, known)


def _federation() -> Federation:
    angles = np.arange(len(_SIZES)) * 2 * np.pi / len(_SIZES)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return replace(federation(_SIZES), coordinates=points)


def _expect_close(got: Tensor, wanted: Tensor, what: str) -> None:
    if (gap := distance(got, wanted)) > CLOSE:
        raise CheckFailed(f"{what} differs by {gap:.3g} (allowed: {CLOSE:g}).")
