"""From a request to its federation: data set, reference scenario, partition, population."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pflbench.errors import InputError
from pflbench.federation import ClientArrays, Federation, Partitioner, Population
from pflbench.federation.population import check_other
from pflbench.runs.model_files import read_choices
from pflbench.runs.request import Numbers, RunRequest
from pflbench.runs.resolved_data import PROCESS, DataCache, ResolvedData
from pflbench.schema.expressions import is_expression
from pflbench.schema.new_clients import check
from pflbench.schema.parameters import parse_parameters
from pflbench.schema.paths import path_of
from pflbench.schema.plugin_choice import Chosen, choose_field
from pflbench.schema.plugins import Registry, installed
from pflbench.schema.realised import marked
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
    return resolve_data(request, registry, read_choices(request, registry), PROCESS)


def resolve_data(
    request: RunRequest, registry: Registry, chosen: Mapping[str, Chosen], cache: DataCache
) -> ResolvedData:
    """Load a request's data and resolve everything about it, making no federation yet.

    Raises
    ------
    InputError
        The data cannot be had, or something about it cannot be as asked.
    """
    in_memory = request.dataset if isinstance(request.dataset, Federation) else None
    if in_memory is not None and request.partition is not None:
        raise InputError("An in-memory federation is already split: leave `partition` out.")
    kept = None if in_memory is not None else _data_set(str(request.dataset), registry)
    reference = IN_MEMORY if kept is None else kept[0].reference
    numbers = _numbers(request, reference)  # before anything is loaded
    new = check(
        request.new_clients,
        rounds=numbers.rounds,
        onboard_at=request.onboard_at,
        shots=request.shots,
        steps=request.onboarding_steps,
    )
    unlike, partition = chosen.get("population"), chosen.get("partition")
    population: Population | None = None if unlike is None else unlike.maker()()
    partitioner: Partitioner | None = None if partition is None else partition.maker()()
    data = in_memory if kept is None else cache.load(*kept, request)
    if isinstance(data, Federation):
        if numbers.clients not in (None, data.clients):
            raise InputError(
                f"The federation in memory has {data.clients} clients, not {numbers.clients}."
            )
    else:
        assert data is not None  # one of the two is given
        knows = isinstance(data, ClientArrays) or data.train_owner is not None
        if partition is None or partitioner is None:
            text = KNOWN_CLIENTS if knows else reference.partition
            partition = choose_field("partition", text, registry)
            partitioner = partition.maker()()
        if partitioner.fixed_clients is not None:
            if request.clients not in (None, partitioner.fixed_clients):
                raise InputError(
                    f"The partition {partition.choice.name} has {partitioner.fixed_clients:,} "
                    f"clients, not {request.clients:,}: leave their number out."
                )
            numbers = dataclasses.replace(numbers, clients=partitioner.fixed_clients)
        elif partitioner.keeps_clients and knows and request.clients is None:
            numbers = dataclasses.replace(numbers, clients=None)  # the number in the data
    found = ResolvedData(
        written="arrays" if kept is None else str(request.dataset),
        model=request.model or reference.model,
        numbers=numbers,
        new_clients=new,
        data=data,
        partition=Choice(IN_MEMORY.partition, {}) if partition is None else partition.choice,
        partitioner=partitioner,
        cache=cache,
    )
    if unlike is None or population is None:
        return found
    written, other = population.other(), None
    if written is not None:
        other = check_other(cache.load(*_data_set(written, registry), request), written)
    choice = marked(unlike.choice, type(unlike.parameters), found.clients)
    return dataclasses.replace(found, population=(choice, population), other=other)


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
