"""Checks of models: sized from the data, without buffers, and mapped over rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from pflbench.conformance.catalogue import Catalogue, CheckFailed, Skipped, Subject
from pflbench.conformance.lab import CLOSE, distance
from pflbench.engine.initial import initial_model
from pflbench.errors import InputError
from pflbench.method import Layout, LocalBudget, Samples, Sgd, Task
from pflbench.specs import ModelSpec, resolve

CHECKS = Catalogue()

_PROBLEMS = (((1, 28, 28), 10), ((3, 32, 32), 7), ((5,), 3))
"""Shapes of a sample, and classes."""


@CHECKS.add("it is sized from the data's shape and classes")
def sized_from_data(subject: Subject) -> None:
    """Outputs are [n, C] for every shape that the model takes."""
    for module, shape, classes in _networks(subject):
        out = module(torch.zeros(3, *shape))
        if tuple(out.shape) != (3, classes):
            raise CheckFailed(f"3 samples of {shape} gave {tuple(out.shape)}, not (3, {classes}).")


@CHECKS.add("it has parameters only, among them the head's")
def has_a_head(subject: Subject) -> None:
    """No buffers; the head's name prefix finds some but not all parameters."""
    assert isinstance(subject.spec, ModelSpec)
    for module, _, _ in _networks(subject):
        layout = Layout.of(module, subject.spec.head)
        head = layout.head_columns()
        if not head.any() or head.all():
            raise CheckFailed(
                f"The head {subject.spec.head!r} matches {int(head.sum())} of {layout.columns} "
                "columns, expected some but not all."
            )


@CHECKS.add("it initialises the same from the same seed, otherwise from another")
def initialises_from_the_seed(subject: Subject) -> None:
    """Every part that has weights draws them in `reset_parameters`."""
    for module, _, _ in _networks(subject):
        layout = Layout.of(module)
        first, again, other = (initial_model(module, layout, seed) for seed in (0, 0, 1))
        if not torch.equal(first, again):
            raise CheckFailed("One seed gave two initial models: a parameter is never reset.")
        if torch.equal(first, other):
            raise CheckFailed("Two seeds gave one initial model.")


@CHECKS.add("stacked equals sequential")
def maps_over_rows(subject: Subject) -> None:
    """Losses and gradients of three rows, mapped and one after the other."""
    for module, shape, classes in _networks(subject):
        task = _task(module, classes)
        g = torch.Generator().manual_seed(0)
        W = task.initial + 0.01 * torch.randn(3, task.layout.columns, generator=g)
        x = torch.randn(3, 4, *shape, generator=g)
        batch = Samples(x, torch.arange(12).reshape(3, 4) % classes, torch.ones(3, 4))

        def loss(w: Tensor, batch: Samples, task: Task = task) -> Tensor:
            return task.loss(w, batch)

        stacked, _ = vmap(grad_and_value(loss))(W, batch)
        for k, w in enumerate(W):
            row = w.clone().requires_grad_()
            (own,) = torch.autograd.grad(loss(row, Samples(*(field[k] for field in batch))), row)
            if (gap := distance(stacked[k], own)) > CLOSE:
                raise CheckFailed(f"The gradient on samples of {shape} differs by {gap:.3g}.")


@CHECKS.add("a sample's output does not depend on its batch")
def outputs_by_sample(subject: Subject) -> None:
    """No statistics of the batch: padding would change them, and so would other samples."""
    for module, shape, _ in _networks(subject):
        x = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0))
        parameters = {n: p.detach() for n, p in module.named_parameters()}
        whole: Tensor = functional_call(module, parameters, (x,))
        single = torch.cat(
            [functional_call(module, parameters, (part,)) for part in torch.split(x, 1)]
        )
        if (gap := distance(single, whole)) > CLOSE:
            raise CheckFailed(f"A sample's output changes by {gap:.3g} with the others in a batch.")


def _networks(subject: Subject) -> list[tuple[nn.Module, tuple[int, ...], int]]:
    """Build the model for every problem that it does not refuse."""
    assert isinstance(subject.spec, ModelSpec)
    build: Any = resolve(subject.spec.build, owner=f"model {subject.spec.name!r}")
    made: list[tuple[nn.Module, tuple[int, ...], int]] = []
    for shape, classes in _PROBLEMS:
        try:
            made.append((build(subject.parameters, shape, classes), shape, classes))
        except InputError:
            continue  # says that this shape is not for it
    if not made:
        raise Skipped("it takes none of the shapes " + ", ".join(str(s) for s, _ in _PROBLEMS))
    return made


def _task(module: nn.Module, classes: int) -> Task:
    layout = Layout.of(module)
    initial = initial_model(module, layout, 0)
    return Task(module, layout, initial, classes, Sgd(0.1), LocalBudget(4, steps=1))
