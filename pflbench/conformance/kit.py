"""Finding a plugin by name and running the checks of its kind."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pflbench.conformance.catalogue import Check, Outcome, Report, Subject
from pflbench.engine.halves import halves
from pflbench.errors import UnknownNameError
from pflbench.schema.parameters import parse_parameters
from pflbench.schema.plugins import Registry, Shelf, installed
from pflbench.schema.settings import with_plugins
from pflbench.schema.specs import FINE_TUNED, AlgorithmSpec, Spec

_CATALOGUES = {
    "algorithm": (
        "pflbench.conformance.check_records:ALGORITHM",
        "pflbench.conformance.check_equivalence:CHECKS",
        "pflbench.conformance.check_isolation:CHECKS",
        "pflbench.conformance.company:CHECKS",
        "pflbench.conformance.check_sizes:CHECKS",
        "pflbench.conformance.check_messages:CHECKS",
        "pflbench.conformance.check_new_clients:CHECKS",
        "pflbench.conformance.check_churn:CHECKS",
    ),
    "data set": (
        "pflbench.conformance.check_records:CHECKS",
        "pflbench.conformance.check_datasets:CHECKS",
    ),
    "partitioner": (
        "pflbench.conformance.check_records:PARAMETRISED",
        "pflbench.conformance.check_partitioners:CHECKS",
    ),
    "population": (
        "pflbench.conformance.check_records:PARAMETRISED",
        "pflbench.conformance.check_populations:CHECKS",
    ),
    "participation": (
        "pflbench.conformance.check_records:PARAMETRISED",
        "pflbench.conformance.check_participations:CHECKS",
    ),
    "model": (
        "pflbench.conformance.check_records:PARAMETRISED",
        "pflbench.conformance.check_models:CHECKS",
    ),
    "optimizer": (
        "pflbench.conformance.check_records:PARAMETRISED",
        "pflbench.conformance.check_optimizers:CHECKS",
    ),
    "schedule": (
        "pflbench.conformance.check_records:PARAMETRISED",
        "pflbench.conformance.check_optimizers:SCHEDULES",
    ),
    "metric": (
        "pflbench.conformance.check_records:CHECKS",
        "pflbench.conformance.check_metrics:CHECKS",
    ),
    "observer": ("pflbench.conformance.check_records:CHECKS",),
    "similarity": (
        "pflbench.conformance.check_records:CHECKS",
        "pflbench.conformance.check_similarities:CHECKS",
    ),
}


def checks_of(kind: str) -> list[Check]:
    """Return the checks of a kind of plugin: "algorithm", "partitioner", "model", ..."""
    if kind not in _CATALOGUES:
        raise UnknownNameError("kind of plugin", kind, _CATALOGUES)
    found: list[Check] = []
    for place in _CATALOGUES[kind]:
        module, _, attribute = place.partition(":")
        found += getattr(importlib.import_module(module), attribute)
    return found


def subject(
    name: str,
    kind: str | None = None,
    *,
    registry: Registry | None = None,
    parameters: Mapping[str, Any] = {},
) -> Subject:
    """Find the plugin record of a name.

    Parameters
    ----------
    name
        As registered; `name:PATH` for a data set that takes a path.
    kind
        Needed only if plugins of several kinds share the name.
    registry
        Where to look (default: all installed plugins).
    parameters
        Values for the plugin's parameters, texts or values; defaults otherwise.

    Raises
    ------
    UnknownNameError
        Nothing has that name.
    InputError
        The plugin is broken, two plugins claim the name, a parameter is not valid, or a method
        has no fine-tuned variant.
    """
    registry = installed() if registry is None else registry
    bare, _, path = name.partition(":")
    shelf = _shelf_of(bare, kind, registry)
    spec = registry.get(shelf, bare)
    if isinstance(spec, AlgorithmSpec) and spec.fine_tuned:
        halves(spec)  # raises if it does not exist
    cls = getattr(spec, "parameters", None)
    values = None
    if cls is not None:
        values = with_plugins(parse_parameters(cls, parameters, owner=bare), registry)
    owner = shelf.owner(bare)
    module = registry.modules.get(owner, "")
    return Subject(shelf.kind, spec, values, module, path, _beside(owner, registry), registry)


def check(
    name: str,
    kind: str | None = None,
    *,
    registry: Registry | None = None,
    parameters: Mapping[str, Any] = {},
    told: Callable[[Outcome], None] | None = None,
) -> Report:
    """Run every check of a plugin's kind on it.

    Parameters
    ----------
    name, kind, registry, parameters
        See `subject`.
    told
        Called with each outcome as it comes.
    """
    found = subject(name, kind, registry=registry, parameters=parameters)
    outcomes = []
    for one in checks_of(found.kind):
        outcomes.append(one.run(found))
        if told is not None:
            told(outcomes[-1])
    return Report(found.kind, found.spec.name, tuple(outcomes))


def _beside(owner: str, registry: Registry) -> tuple[Spec, ...]:
    """Return the metrics and observers of the distribution that a plugin is of."""
    distribution = owner.partition(":")[0]
    shelves: tuple[Shelf[Any], ...] = (registry.metrics, registry.observers)
    return tuple(
        spec
        for shelf in shelves
        for spec in shelf.specs()
        if shelf.owner(spec.name).partition(":")[0] == distribution
    )


def _shelf_of(name: str, kind: str | None, registry: Registry) -> Shelf[Any]:
    shelves: Sequence[Shelf[Any]] = registry.shelves
    if kind is not None:
        chosen = [shelf for shelf in shelves if shelf.kind == kind]
        if not chosen:
            raise UnknownNameError("kind of plugin", kind, [shelf.kind for shelf in shelves])
        return chosen[0]
    for shelf in shelves:
        if name in shelf.entries:
            return shelf
    if name.removesuffix(FINE_TUNED) in registry.algorithms.entries:
        return registry.algorithms
    for problem in registry.problems:
        if name == problem.plugin or name in problem.names:
            return shelves[0]  # its `get` reports the error
    names = [known for shelf in shelves for known in shelf.names()]
    raise UnknownNameError("plugin", name, names, hint=" See pflbench list.")
