"""The data of a cell, and the cache that successive cells share."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, TypeVar

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
from pflbench.federation.assembly import number_of_clients
from pflbench.federation.population import populated_fingerprint
from pflbench.federation.skew import unseen_classes
from pflbench.isolation import Guard
from pflbench.runs.request import Numbers, RunRequest
from pflbench.schema.error_text import named
from pflbench.schema.new_clients import NewClients
from pflbench.schema.paths import path_of
from pflbench.schema.scenario import Choice, without_path
from pflbench.schema.specs import DatasetSpec, resolve

T = TypeVar("T")


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


class DataCache:
    """A cache shared by successive cells: their data, and the latest federations.

    Parameters
    ----------
    steady
        Whether users' own files are taken not to change, so that each is loaded once. Data sets
        that come with a plugin do not change.
    """

    def __init__(self, *, steady: bool = False) -> None:
        self._own = lru_cache(maxsize=2)(_load) if steady else _load
        self._last: dict[str, tuple[tuple[object, ...], Any]] = {}

    def load(
        self, spec: DatasetSpec, path: Path | None, request: RunRequest
    ) -> Pool | ClientArrays:
        """Load a data set, or return it from the cache."""
        folder = request.data_dir or os.environ.get("PFLBENCH_DATA")
        load = _load_once if path is None else self._own
        return load(spec, path, path_of(folder, "data_dir") if folder else None, request.fallback)

    def last(self, kind: str, of: tuple[object, ...], make: Callable[[], T]) -> T:
        """Return the latest object of a kind, if it has the same source; else make it.

        A matrix needs the same federation once per method.
        """
        if kind not in self._last or self._last[kind][0] != of:
            self._last.pop(kind, None)  # before another one takes its memory
            self._last[kind] = of, make()
        made: T = self._last[kind][1]
        return made


PROCESS: Final = DataCache()
"""The cache of runs that are started one by one."""


@dataclass(frozen=True, eq=False)
class ResolvedData:
    """A request's data with the choices that depend on them.

    Attributes
    ----------
    written
        The data set as written.
    model
        The model's expression: the request's, or the reference's.
    numbers
        Every number of the scenario, checked.
    new_clients
        Clients that are held out; None without new clients.
    data
        The data set's result, or the federation in memory.
    partition, partitioner
        Resolved, and its object; None for a federation in memory.
    cache
        Where the federation is kept.
    population
        Resolved, with its object; None without a population.
    other
        The data set that the population takes samples from, if it does.
    """

    written: str
    model: str
    numbers: Numbers
    new_clients: NewClients | None
    data: Pool | ClientArrays | Federation
    partition: Choice
    partitioner: Partitioner | None
    cache: DataCache
    population: tuple[Choice, Population] | None = None
    other: Pool | None = None

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
        """One line on the replacement of the requested data, or ""."""
        return _together(*(data.notice for data in self._loaded))

    @property
    def remark(self) -> str:
        """A notice on the data for runs with any partition, or ""."""
        return _together(*(data.remark for data in self._loaded))

    @property
    def remarks(self) -> str:
        """One line on the data and their partition for runs, or ""."""
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
            name = self.partition.name
            return build(self.data, self.partitioner, numbers.clients, numbers.seed, name)

    def _populate(self, made: Federation, choice: Choice, maker: Population) -> Federation:
        """Make some clients different from the others."""
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


def _together(*remarks: str) -> str:
    """Return remarks in one line, each once."""
    return " ".join(filter(None, dict.fromkeys(remarks)))


def _population_name(choice: Choice) -> str:
    shown = without_path(choice)
    return f"{shown} {shown.version}".strip()
