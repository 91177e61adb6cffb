"""Checks of models: sized from the data, fit for a run, and mapped over rows."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from pflbench.conformance.catalogue import Catalogue, CheckFailed, Skipped, Subject
from pflbench.engine.drawing import drawing_weights
from pflbench.engine.given import head_of
from pflbench.engine.initial import build_network, own_weights
from pflbench.engine.mapping import UNLIKE, unmapped
from pflbench.engine.probe import probe
from pflbench.errors import InputError
from pflbench.method import Layout, LocalBudget, Nature, Sgd, Task
from pflbench.schema.specs import ModelSpec, resolve

CHECKS = Catalogue()

_Problem = tuple[tuple[int, ...], int]

_PROBLEMS: tuple[_Problem, ...] = (((1, 28, 28), 10), ((3, 32, 32), 7), ((5,), 3), ((6, 64), 4))
"""Shapes of a sample, and classes."""

_TOKENS: tuple[_Problem, ...] = (((12,), 3), ((20,), 8))
_VOCABULARY = 30
"""The same for networks that have a vocabulary, and how large it is."""


@CHECKS.add("it is sized from the data's shape and classes")
def sized_from_data(subject: Subject) -> None:
    """Outputs are [n, C] for every shape that the model takes."""
    for module, shape, classes in _networks(subject):
        out = module(_samples(3, shape, subject))
        if tuple(out.shape) != (3, classes):
            raise CheckFailed(f"3 samples of {shape} gave {tuple(out.shape)}, not (3, {classes}).")


@CHECKS.add("its head is a part of it")
def has_a_head(subject: Subject) -> None:
    """The head's name prefix finds some columns, and not all unless there is one layer."""
    assert isinstance(subject.spec, ModelSpec)
    for module, _, _ in _networks(subject):
        layout = Layout.of(module, head_of(module, subject.spec.head))
        head = layout.head_columns()
        if not head.any() or (head.all() and len(layout.layers) > 1):
            raise CheckFailed(
                f"The head {subject.spec.head!r} matches {int(head.sum())} of {layout.columns} "
                "columns, expected some but not all."
            )


@CHECKS.add("its weights follow from the seed")
def weights_follow_from_the_seed(subject: Subject) -> None:
    """Built twice with one seed, it has the same weights: from the same draws, or its own."""
    _networks(subject)


@CHECKS.add("outputs follow from a sample and the weights alone")
def outputs_follow_from_the_sample(subject: Subject) -> None:
    """At evaluation; in training, also from PyTorch's random numbers and running statistics."""
    for module, shape, classes in _networks(subject):
        _nature(module, shape, classes, subject)


@CHECKS.add("stacked equals sequential")
def maps_over_rows(subject: Subject) -> None:
    """Losses, gradients and outputs of rows that are mapped, and one after the other."""
    for module, shape, classes in _networks(subject):
        layout = Layout.of(module)
        initial = own_weights(module, layout, torch.float32)
        nature = _nature(module, shape, classes, subject)
        budget = LocalBudget(4, steps=1)
        task = Task(module, layout, initial, classes, Sgd(0.1), budget, nature=nature)
        reason = unmapped(task, _samples(8, shape, subject))
        if reason == UNLIKE:
            raise CheckFailed(f"On samples of {shape}, {reason}.")
        if reason:
            raise Skipped(
                f"torch.func.vmap cannot map it ({reason}): runs have the engine 'sequential'"
            )


def _nature(module: nn.Module, shape: tuple[int, ...], classes: int, subject: Subject) -> Nature:
    assert isinstance(subject.spec, ModelSpec)
    layout = Layout.of(module, name=subject.spec.name)
    return probe(module, layout, _samples(8, shape, subject), classes, name=subject.spec.name)


def _samples(count: int, shape: tuple[int, ...], subject: Subject) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    if hasattr(subject.parameters, "vocabulary"):
        return torch.randint(_VOCABULARY, (count, *shape), generator=generator)
    return torch.randn(count, *shape, generator=generator)


def _networks(subject: Subject) -> list[tuple[nn.Module, tuple[int, ...], int]]:
    """Build the model for every problem that it does not refuse."""
    assert isinstance(subject.spec, ModelSpec)
    build: Any = resolve(subject.spec.build, owner=f"model {subject.spec.name!r}")
    made: list[tuple[nn.Module, tuple[int, ...], int]] = []
    parameters, problems = subject.parameters, _PROBLEMS
    if hasattr(parameters, "vocabulary"):
        parameters, problems = dataclasses.replace(parameters, vocabulary=_VOCABULARY), _TOKENS
    for shape, classes in problems:
        try:
            with drawing_weights(0):
                build(parameters, shape, classes)
        except InputError:
            continue  # says that this shape is not for it
        module = build_network(build, parameters, shape, classes, seed=0, name=subject.spec.name)
        made.append((module, shape, classes))
    if not made:
        raise Skipped("it takes none of the shapes " + ", ".join(str(s) for s, _ in problems))
    return made
