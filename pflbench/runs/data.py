"""From a request to its federation: data set, reference scenario, partition, population."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pflbench.errors import InputError
from pflbench.federation import ClientArrays, Federation, Partitioner, Population
from pflbench.federation.population import check_other
from pflbench.runs.request import Numbers, RunRequest
from pflbench.runs.resolved_data import PROCESS, DataCache, ResolvedData
from pflbench.schema.expressions import is_expression
from pflbench.schema.new_clients import NewClients, check
from pflbench.schema.parameters import parse_parameters
from pflbench.schema.paths import path_of
from pflbench.schema.plugin_choice import Chosen, choose_field, choose_fields
from pflbench.schema.plugins import Registry, installed
from pflbench.schema.scenario import Choice
from pflbench.schema.specs import DatasetSpec, Reference

T = TypeVar("T")

IN_MEMORY = Reference(
    partition="as-is", clients=None, model="mlp", rounds=100, local_epochs=1, eval_every=10
)
"""The reference scenario of a federation made from arrays."""

KNOWN_CLIENTS = "natural"
"""The default partition of data with named clients."""


def source(request: RunRequest, registry: Registry | None = None) -> ResolvedData:
    """Resolve a request's data, for any algorithm.

    Raises
    ------
    InputError
        The data cannot be had, or something about it cannot be as asked.
    """
    registry = registry or installed()
    return resolve_data(request, registry, choose_fields(request, registry), PROCESS)


def resolve_data(
    request: RunRequest, registry: Registry, chosen: Mapping[str, Chosen], cache: DataCache
) -> ResolvedData:
    """Load a request's data and resolve everything about it, making no federation yet.

    Raises
    ------
    InputError
        The data cannot be had, or something about it cannot be as asked.
    """
    unlike = chosen.get("population")
    population: Population | None = None if unlike is None else unlike.maker()()
    if isinstance(request.dataset, Federation):
        found = _in_memory(request, request.dataset, cache)
    else:
        found = _of_data_set(request, request.dataset, registry, chosen.get("partition"), cache)
    if unlike is None or population is None:
        return found
    written, other = population.other(), None
    if written is not None:
        other = check_other(cache.load(*_data_set(written, registry), request), written)
    marked = unlike.marked(found.clients).choice
    return dataclasses.replace(found, population=(marked, population), other=other)


def _of_data_set(
    request: RunRequest,
    written: str,
    registry: Registry,
    partition: Chosen | None,
    cache: DataCache,
) -> ResolvedData:
    spec, path = _data_set(written, registry)
    numbers = _numbers(request, spec.reference)  # before anything is loaded
    new = _new_clients(request, numbers)
    partition = partition or choose_field("partition", spec.reference.partition, registry)
    partitioner: Partitioner = partition.maker()()
    data = cache.load(spec, path, request)
    if isinstance(data, ClientArrays) or data.train_owner is not None:
        if request.partition is None:
            partition = choose_field("partition", KNOWN_CLIENTS, registry)
            partitioner = partition.maker()()
        if partitioner.keeps_clients and request.clients is None:
            numbers = dataclasses.replace(numbers, clients=None)  # the number in the data
    return ResolvedData(
        written,
        request.model or spec.reference.model,
        numbers,
        new,
        data,
        partition.choice,
        partitioner,
        cache,
    )


def _in_memory(request: RunRequest, federation: Federation, cache: DataCache) -> ResolvedData:
    if request.partition is not None:
        raise InputError("An in-memory federation is already split: leave `partition` out.")
    numbers = _numbers(request, IN_MEMORY)
    if numbers.clients not in (None, federation.clients):
        raise InputError(
            f"The federation in memory has {federation.clients} clients, not {numbers.clients}."
        )
    new = _new_clients(request, numbers)
    model, as_is = request.model or IN_MEMORY.model, Choice(IN_MEMORY.partition, {})
    return ResolvedData("arrays", model, numbers, new, federation, as_is, None, cache)


def _new_clients(request: RunRequest, numbers: Numbers) -> NewClients | None:
    return check(
        request.new_clients,
        rounds=numbers.rounds,
        onboard_at=request.onboard_at,
        shots=request.shots,
        steps=request.onboarding_steps,
    )


def _data_set(written: str, registry: Registry) -> tuple[DatasetSpec, Path | None]:
    name, colon, path = written.partition(":")
    spec = registry.get(registry.datasets, name)
    if spec.takes_path and not path:
        raise InputError(f"The data set {name} needs a path: {name}:PATH.")
    if colon and not spec.takes_path:
        raise InputError(f"The data set {name} takes no path: expected {name!r} alone.")
    return spec, path_of(path, f"{name}:PATH") if path else None


def _numbers(request: RunRequest, reference: Reference) -> Numbers:
    """Fill in the reference's numbers and check the bounds of all."""
    if request.local_epochs is not None and request.local_steps is not None:
        raise InputError(
            "Local epochs and local steps are both given: expected one of them "
            "(--local-epochs or --local-steps)."
        )
    own_budget = request.local_epochs is not None or request.local_steps is not None
    given: dict[str, Any] = {}
    for field in dataclasses.fields(Numbers):
        value = getattr(request, field.name)
        is_budget = field.name in ("local_epochs", "local_steps")
        if field.name == "participation" and is_expression(value):
            value = None  # it has a rule instead of a number
        if value is None and not (is_budget and own_budget):
            value = getattr(reference, field.name)
        given[field.name] = value
    numbers = parse_parameters(Numbers, given, owner="run")
    if request.eval_every is not None and numbers.eval_every > numbers.rounds:
        raise InputError(
            f"eval_every = {numbers.eval_every:,} is not reached: the run's last round is "
            f"{numbers.rounds:,}. Leave it out, or expected at most that: the last round is "
            "evaluated in any case."
        )
    return numbers
