"""From a request to its federation: data set, reference scenario, partition, population."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pflbench.errors import InputError
from pflbench.federation import (
    ClientArrays,
    Federation,
    Partitioner,
    Pool,
    Population,
    build,
    populate,
)
from pflbench.federation.assembly import number_of_clients
from pflbench.federation.population import check_other, populated_fingerprint
from pflbench.federation.skew import unseen_classes
from pflbench.isolation import Guard
from pflbench.runs.data_cache import PROCESS, DataCache
from pflbench.runs.request import Numbers, RunRequest
from pflbench.schema.numbers import number_of
from pflbench.schema.parameters import parse_parameters
from pflbench.schema.paths import path_of
from pflbench.schema.plugin_choice import Chosen, choose
from pflbench.schema.plugins import Registry, installed
from pflbench.schema.scenario import Choice, without_path
from pflbench.schema.scenario_fields import scenario_fields
from pflbench.schema.specs import DatasetSpec, Reference

T = TypeVar("T")

IN_MEMORY = Reference(
    partition="as-is", clients=None, model="mlp", rounds=100, local_epochs=1, eval_every=10
)
"""The reference scenario of a federation made from arrays."""

KNOWN_CLIENTS = "natural"
"""The partition of data that knows its clients, when no other is asked for."""


@dataclass(frozen=True, eq=False)
class ResolvedData:
    """A request's data with what is made of them.

    Attributes
    ----------
    written
        The data set as written.
    model
        The model's expression: as asked for, or the reference's.
    numbers
        Every number of the scenario, checked.
    data
        What the data set handed over, or the federation in memory.
    partition, partitioner
        Resolved, and what makes it; None for a federation in memory.
    population
        Resolved, with what makes it; None if there is none.
    other
        The data set that the population takes samples from, if it does.
    cache
        Where the federation is kept.
    """

    written: str
    model: str
    numbers: Numbers
    data: Pool | ClientArrays | Federation
    partition: Choice
    partitioner: Partitioner | None
    population: tuple[Choice, Population] | None
    other: Pool | None
    cache: DataCache

    @property
    def clients(self) -> int:
        """Number of clients of the federation."""
        if isinstance(self.data, Pool):
            return number_of_clients(self.data, self.numbers.clients)
        return self.federation.clients

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the data; a pool's needs no federation."""
        if not isinstance(self.data, Pool):
            return self.federation.fingerprint
        if self.population is None:
            return self.data.fingerprint
        name = _population_name(self.population[0])
        return populated_fingerprint(self.data.fingerprint, name, self.other)

    @property
    def notice(self) -> str:
        """One line that says what stands in for the data asked for, or ""."""
        return _together(*(data.notice for data in self._loaded))

    @property
    def remark(self) -> str:
        """What a run must say of the data, whatever their partition, or ""."""
        return _together(*(data.remark for data in self._loaded))

    @property
    def remarks(self) -> str:
        """One line that a run must say of the data and their partition, or ""."""
        made = self.federation
        return _together(self.remark, made.remark, unseen_classes(made))

    @property
    def _loaded(self) -> list[Pool | ClientArrays]:
        both = (self.data, self.other)
        return [data for data in both if isinstance(data, Pool | ClientArrays)]

    @property
    def federation(self) -> Federation:
        """The federation, made now, or the last one made."""
        made, seed = self.data, self.numbers.seed
        if not isinstance(made, Federation):
            of = (made, str(self.partition), self.numbers.clients, seed)
            made = self.cache.last("federation", of, self._build)
        if self.population is None:
            return made
        before = (made, self.other, str(self.population[0]), seed)
        change = partial(self._populate, made, *self.population)
        return self.cache.last("population", before, change)

    def _build(self) -> Federation:
        assert not isinstance(self.data, Federation)
        numbers = self.numbers
        with Guard(lambda: f"The partition {self.partition}")("making the federation"):
            return build(self.data, self.partitioner, numbers.clients, numbers.seed)

    def _populate(self, made: Federation, choice: Choice, maker: Population) -> Federation:
        """Make some clients unlike the others."""
        with Guard(lambda: f"The population {choice}")("changing the federation"):
            return populate(
                made,
                maker,
                self.numbers.seed,
                name=_population_name(choice),
                shown=str(without_path(choice)),
                other=self.other,
                transform=None if self.partitioner is None else self.partitioner.transform,
            )


def read_choices(request: RunRequest, registry: Registry) -> dict[str, Chosen]:
    """Read every text of a request that names a plugin, by the name of its field.

    Raises
    ------
    InputError
        A text has another form, there is no such plugin, or a parameter is not valid.
    """
    return {
        name: choose_field(name, text, registry)
        for name, field in scenario_fields().items()
        if field.shelf and is_expression(text := getattr(request, name)) and field.is_expression
    }


def choose_field(name: str, text: str, registry: Registry) -> Chosen:
    """Read the text of one field."""
    field = scenario_fields()[name]
    shelf = getattr(registry, field.shelf)
    return choose(text, shelf, registry, kind=name, example=field.example)


def is_expression(value: object) -> bool:
    """Return whether a value is written as a name rather than as a number."""
    return isinstance(value, str) and number_of(value) is None


def source(request: RunRequest, registry: Registry | None = None) -> ResolvedData:
    """Resolve a request's data, whatever its algorithm.

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
    unlike = chosen.get("population")
    population: Population | None = None if unlike is None else unlike.maker()()
    if isinstance(request.dataset, Federation):
        found = _in_memory(request, request.dataset, cache)
    else:
        found = _of_data_set(request, request.dataset, registry, chosen, cache)
    if unlike is None or population is None:
        return found
    written, other = population.other(), None
    if written is not None:
        other = check_other(cache.load(*_data_set(written, registry), request), written)
    marked = unlike.marked(found.clients).choice
    return dataclasses.replace(found, population=(marked, population), other=other)


def _together(*remarks: str) -> str:
    """Return remarks in one line, each once."""
    return " ".join(filter(None, dict.fromkeys(remarks)))


def _of_data_set(
    request: RunRequest,
    written: str,
    registry: Registry,
    chosen: Mapping[str, Chosen],
    cache: DataCache,
) -> ResolvedData:
    spec, path = _data_set(written, registry)
    reference, partition = spec.reference, chosen.get("partition")
    _numbers(request, reference)  # before anything is loaded, and again when its clients are known
    partitioner: Partitioner | None = None if partition is None else partition.maker()()
    data = cache.load(spec, path, request)
    knows = isinstance(data, ClientArrays) or data.train_owner is not None
    if partition is None or partitioner is None:
        text = KNOWN_CLIENTS if knows else reference.partition
        partition = choose_field("partition", text, registry)
        partitioner = partition.maker()()
    if partitioner.keeps_clients and knows:
        reference = dataclasses.replace(reference, clients=None)  # as many as the data know
    return ResolvedData(
        written,
        request.model or reference.model,
        _numbers(request, reference),
        data,
        partition.choice,
        partitioner,
        None,
        None,
        cache,
    )


def _in_memory(request: RunRequest, federation: Federation, cache: DataCache) -> ResolvedData:
    if request.partition is not None:
        raise InputError("A federation in memory is partitioned already: expected no partition.")
    numbers = _numbers(request, IN_MEMORY)
    if numbers.clients not in (None, federation.clients):
        raise InputError(
            f"The federation in memory has {federation.clients} clients, not {numbers.clients}."
        )
    model, as_is = request.model or IN_MEMORY.model, Choice(IN_MEMORY.partition, {})
    return ResolvedData("arrays", model, numbers, federation, as_is, None, None, None, cache)


def _population_name(choice: Choice) -> str:
    shown = without_path(choice)
    return f"{shown} {shown.version}".strip()


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
            value = None  # it has no number; what it has instead is its rule
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
