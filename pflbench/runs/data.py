"""From a request to its federation: data set, reference scenario, partition."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from pflbench.errors import InputError
from pflbench.federation import (
    ClientArrays,
    DataRequest,
    Federation,
    Partitioner,
    Pool,
    Population,
    build,
    populate,
)
from pflbench.federation.assembly import fingerprint_of, number_of_clients
from pflbench.federation.population import check_other, populated_fingerprint
from pflbench.federation.skew import unseen_classes
from pflbench.isolation import Guard
from pflbench.runs.making import maker
from pflbench.runs.participation_plan import is_expression
from pflbench.runs.request import Numbers, RunRequest
from pflbench.schema import plugins
from pflbench.schema.error_text import named
from pflbench.schema.expressions import parse_expression
from pflbench.schema.parameters import parameters_of_identity, parse_parameters
from pflbench.schema.paths import path_of
from pflbench.schema.realised import marked
from pflbench.schema.scenario import Choice, without_path
from pflbench.schema.specs import DatasetSpec, Reference, resolve

IN_MEMORY = Reference(
    partition="as-is", clients=None, model="mlp", rounds=100, local_epochs=1, eval_every=10
)
"""The reference scenario of a federation made from arrays."""

KNOWN_CLIENTS = "natural"
"""The partition of data that knows its clients, when no other is asked for."""


@dataclass(frozen=True, eq=False)
class Sourced:
    """A request's data, and what its numbers resolve to.

    Attributes
    ----------
    written
        The data set as written.
    model
        The model's expression: as asked for, or the reference's.
    numbers
        Every number of the scenario, checked.
    partition, federation
        Resolved, and made.
    population
        Resolved, or None.
    notice
        One line that says what stands in for the data asked for, or "".
    remark
        One line that a run must say of the data and their partition, or "".
    """

    written: str
    model: str
    numbers: Numbers
    partition: Choice
    federation: Federation
    notice: str
    remark: str
    population: Choice | None = None


@dataclass(frozen=True, eq=False)
class Wanted:
    """A request's data before any federation is made of it.

    Attributes
    ----------
    written, model, numbers, partition, notice
        As of `Sourced`.
    remark
        What a run must say of the data, whatever their partition.
    data
        What the data set handed over, or the federation in memory.
    partitioner
        Makes the partition; None for a federation in memory.
    population
        Resolved, with what makes it; None if there is none.
    other
        The data set that the population takes samples from, if it does.
    """

    written: str
    model: str
    numbers: Numbers
    partition: Choice
    data: Pool | ClientArrays | Federation
    partitioner: Partitioner | None
    population: tuple[Choice, Population] | None
    other: Pool | None
    notice: str
    remark: str = ""

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
        own = _fingerprint(self.data)
        if self.population is None:
            return own
        return populated_fingerprint(own, _population_name(self.population[0]), self.other)

    @property
    def federation(self) -> Federation:
        """The federation, made now, or the last one made."""
        if isinstance(self.data, Federation):
            made = self.data
        else:
            assert self.partitioner is not None  # only a federation in memory has none
            made = _build(self.data, self.partition, self.partitioner, self.numbers)
        return made if self.population is None else self._populated(made, *self.population)

    def _populated(self, made: Federation, choice: Choice, maker: Population) -> Federation:
        """Make some clients unlike the others."""
        seed = self.numbers.seed
        key = (id(made), id(self.other), str(choice), seed)
        if key not in _peopled:
            _peopled.clear()
            with Guard(lambda: f"The population {choice}")("changing the federation"):
                federation = populate(
                    made,
                    maker,
                    seed,
                    name=_population_name(choice),
                    shown=str(without_path(choice)),
                    other=self.other,
                    transform=None if self.partitioner is None else self.partitioner.transform,
                )
            _peopled[key] = ((made, self.other), federation)
        return _peopled[key][1]


def source(request: RunRequest, registry: plugins.Registry | None = None) -> Sourced:
    """Make the federation that a request's run has, whatever its algorithm.

    Raises
    ------
    InputError
        The data cannot be had, or the partition cannot be made.
    """
    return sourced(wanted(request, registry))


def sourced(want: Wanted) -> Sourced:
    """Make the federation that is wanted."""
    federation = want.federation
    remark = _together(want.remark, federation.remark, unseen_classes(federation))
    return Sourced(
        want.written,
        want.model,
        want.numbers,
        want.partition,
        federation,
        want.notice,
        remark,
        None if want.population is None else want.population[0],
    )


def wanted(request: RunRequest, registry: plugins.Registry | None = None) -> Wanted:
    """Load a request's data and resolve everything about it, making no federation yet.

    Raises
    ------
    InputError
        The data cannot be had, or something about it cannot be as asked.
    """
    registry = registry or plugins.installed()
    population = None if request.population is None else _population(request.population, registry)
    if isinstance(request.dataset, Federation):
        want = _in_memory(request, request.dataset)
    else:
        want = _of_data_set(request, request.dataset, registry)
    if population is None:
        return want
    written, other = population[1].other(), None
    if written is not None:
        spec, path = _dataset(written, registry)
        other = check_other(_data(spec, path, request), written)
    choice, maker, parameters = population
    return dataclasses.replace(
        want,
        population=(marked(choice, parameters, want.clients), maker),
        other=other,
        notice=_together(want.notice, "" if other is None else other.notice),
        remark=_together(want.remark, "" if other is None else other.remark),
    )


def _together(*remarks: str) -> str:
    """Return remarks in one line, each once."""
    return " ".join(filter(None, dict.fromkeys(remarks)))


def _of_data_set(request: RunRequest, written: str, registry: plugins.Registry) -> Wanted:
    spec, path = _dataset(written, registry)
    reference = spec.reference
    _numbers(request, reference)  # before anything is loaded, and again when its clients are known
    if request.partition is not None:
        _partition(request.partition, registry)
    data = _data(spec, path, request)
    if request.partition is None and _knows_clients(data):
        reference = dataclasses.replace(reference, partition=KNOWN_CLIENTS)
    partition, partitioner = _partition(request.partition or reference.partition, registry)
    if partitioner.keeps_clients and _knows_clients(data):
        reference = dataclasses.replace(reference, clients=None)  # as many as the data know
    numbers = _numbers(request, reference)
    model = request.model or reference.model
    return Wanted(
        written, model, numbers, partition, data, partitioner, None, None, data.notice, data.remark
    )


def _in_memory(request: RunRequest, federation: Federation) -> Wanted:
    if request.partition is not None:
        raise InputError("A federation in memory is partitioned already: expected no partition.")
    numbers = _numbers(request, IN_MEMORY)
    if numbers.clients not in (None, federation.clients):
        raise InputError(
            f"The federation in memory has {federation.clients} clients, not {numbers.clients}."
        )
    model, as_is = request.model or IN_MEMORY.model, Choice(IN_MEMORY.partition, {})
    return Wanted("arrays", model, numbers, as_is, federation, None, None, None, "")


def _population_name(choice: Choice) -> str:
    shown = without_path(choice)
    return f"{shown} {shown.version}".strip()


def _knows_clients(data: Pool | ClientArrays) -> bool:
    return isinstance(data, ClientArrays) or data.train_owner is not None


def _dataset(written: str, registry: plugins.Registry) -> tuple[DatasetSpec, Path | None]:
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
    given: dict[str, Any] = {"seed": request.seed}
    own_budget = request.local_epochs is not None or request.local_steps is not None
    for field in dataclasses.fields(Numbers):
        if field.name == "seed":
            continue
        value = getattr(request, field.name)
        is_budget = field.name in ("local_epochs", "local_steps")
        if field.name == "participation" and is_expression(value):
            value = None  # it has no number; what it has instead is read when the run is planned
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


def _partition(text: str, registry: plugins.Registry) -> tuple[Choice, Partitioner]:
    expression = parse_expression(text, kind="partition")
    spec = registry.get(registry.partitioners, expression.name)
    parameters: Any = parse_parameters(spec.parameters, expression.arguments, owner=spec.name)
    choice = Choice(spec.name, parameters_of_identity(parameters), spec.version)
    return choice, maker(spec, "partitioner")(parameters)


def _population(text: str, registry: plugins.Registry) -> tuple[Choice, Population, type]:
    """Return a population, what makes it, and the class of its parameters."""
    expression = parse_expression(text, kind="population")
    spec = registry.get(registry.populations, expression.name)
    parameters: Any = parse_parameters(spec.parameters, expression.arguments, owner=spec.name)
    choice = Choice(spec.name, parameters_of_identity(parameters), spec.version)
    return choice, maker(spec, "population")(parameters), spec.parameters


def _data(spec: DatasetSpec, path: Path | None, request: RunRequest) -> Pool | ClientArrays:
    # A user's own files may change from one call to the next; the field's data sets do not.
    load = _load_once if path is None else _load_steady if _steady.get() else _load
    folder = request.data_dir or os.environ.get("PFLBENCH_DATA")
    return load(spec, path, path_of(folder, "data_dir") if folder else None, request.fallback)


@contextmanager
def steady_files() -> Iterator[None]:
    """Take users' own files not to change during the body of a `with`: each is loaded once.

    What the identities of a matrix's cells are asked for in.
    """
    token = _steady.set(True)
    try:
        yield
    finally:
        _steady.reset(token)
        _load_steady.cache_clear()


_steady: ContextVar[bool] = ContextVar("_steady", default=False)


def _load(
    spec: DatasetSpec, path: Path | None, data_dir: Path | None, fallback: bool
) -> Pool | ClientArrays:
    load = resolve(spec.load, owner=f"data set {spec.name!r}")
    with Guard(partial(named, spec))("load"):
        data: Pool | ClientArrays = load(
            DataRequest(name=spec.name, path=path, data_dir=data_dir, fallback=fallback)
        )
    return data


_load_once = lru_cache(maxsize=2)(_load)
_load_steady = lru_cache(maxsize=2)(_load)
_fingerprint = lru_cache(maxsize=2)(fingerprint_of)

_peopled: dict[tuple[int, int, str, int], tuple[tuple[Federation, Pool | None], Federation]] = {}
"""The last federation that was populated, with what it was made from: a matrix asks for it once
a method."""

_built: dict[tuple[int, str, int | None, int], tuple[Pool | ClientArrays, Federation]] = {}


def _build(
    data: Pool | ClientArrays, partition: Choice, partitioner: Partitioner, numbers: Numbers
) -> Federation:
    """Build a federation, or return the last one built: a matrix asks for it once a method."""
    key = (id(data), str(partition), numbers.clients, numbers.seed)
    if key not in _built:
        _built.clear()
        with Guard(lambda: f"The partition {partition}")("making the federation"):
            _built[key] = (data, build(data, partitioner, numbers.clients, numbers.seed))
    return _built[key][1]
