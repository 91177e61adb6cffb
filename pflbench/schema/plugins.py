"""Loading plugins: entry points, one at a time, so that a broken one stops nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import pluggy

from pflbench.errors import InputError, UnknownNameError
from pflbench.isolation import put_back
from pflbench.schema import error_text, hookspecs
from pflbench.schema.fine_tuning import fine_tuned
from pflbench.schema.specs import (
    FINE_TUNED,
    AlgorithmSpec,
    DatasetSpec,
    MetricSpec,
    ModelSpec,
    ObserverSpec,
    OptimizerSpec,
    ParticipationSpec,
    PartitionerSpec,
    PopulationSpec,
    Problem,
    ScheduleSpec,
    SimilaritySpec,
    Spec,
    resolve,
)

GROUP = "pflbench"
S = TypeVar("S", bound=Spec)


@dataclass
class Shelf(Generic[S]):
    """The records of one kind, by name, each with the plugin it came from."""

    kind: str
    hook: str
    record: type[S]
    entries: dict[str, list[tuple[str, S]]] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Return the names, sorted."""
        return sorted(self.entries)

    def specs(self) -> list[S]:
        """Return the usable records (those with a unique name)."""
        return [self.entries[name][0][1] for name in self.names() if len(self.entries[name]) == 1]

    def owner(self, name: str) -> str:
        """Return the plugin that a name came from."""
        return self.entries[name.removesuffix(FINE_TUNED)][0][0]


class Registry:
    """Everything that the plugins bring, and the problems met on the way."""

    def __init__(self) -> None:
        self.algorithms = Shelf("algorithm", "pflbench_algorithms", AlgorithmSpec)
        self.datasets = Shelf("data set", "pflbench_datasets", DatasetSpec)
        self.partitioners = Shelf("partitioner", "pflbench_partitioners", PartitionerSpec)
        self.populations = Shelf("population", "pflbench_populations", PopulationSpec)
        self.models = Shelf("model", "pflbench_models", ModelSpec)
        self.optimizers = Shelf("optimizer", "pflbench_optimizers", OptimizerSpec)
        self.schedules = Shelf("schedule", "pflbench_schedules", ScheduleSpec)
        self.participations = Shelf("participation", "pflbench_participations", ParticipationSpec)
        self.metrics = Shelf("metric", "pflbench_metrics", MetricSpec)
        self.observers = Shelf("observer", "pflbench_observers", ObserverSpec)
        self.similarities = Shelf("similarity", "pflbench_similarities", SimilaritySpec)
        self.problems: list[Problem] = []
        self.modules: dict[str, str] = {}
        """Plugin to the module its entry point names."""

    @property
    def shelves(self) -> tuple[Shelf[Any], ...]:
        """All kinds, in the order in which they are listed."""
        return (
            self.algorithms,
            self.datasets,
            self.partitioners,
            self.populations,
            self.models,
            self.optimizers,
            self.schedules,
            self.participations,
            self.metrics,
            self.observers,
            self.similarities,
        )

    def get(self, shelf: Shelf[S], name: str) -> S:
        """Return the record of a name.

        Raises
        ------
        UnknownNameError
            Nothing has that name; the message has the nearest one.
        InputError
            Two plugins claim the name, or the plugin that would bring it is broken.
        """
        method = name.removesuffix(FINE_TUNED)
        if shelf is self.algorithms and method != name:
            return cast("S", fine_tuned(self.get(self.algorithms, method)))
        found = shelf.entries.get(name, [])
        if len(found) > 1:
            owners = " and ".join(repr(owner) for owner, _ in found)
            raise InputError(
                f"Two plugins bring the {shelf.kind} {name!r}: {owners}. "
                "Uninstall one of them, or have its author rename it."
            )
        if found:
            return found[0][1]
        for problem in self.problems:
            if name == problem.plugin or name in problem.names:
                raise InputError(f"The plugin {problem.plugin!r} is broken: {problem.message}")
        broken = sorted({problem.plugin for problem in self.problems})
        hint = f" Broken plugins (see pflbench list): {', '.join(broken)}." if broken else ""
        raise UnknownNameError(shelf.kind, name, shelf.entries, hint=self._path(shelf, name) + hint)

    def _path(self, shelf: Shelf[Any], name: str) -> str:
        """Say how a path is written, if one was given for a data set's name."""
        if shelf is not self.datasets or not ("/" in name or Path(name).exists()):
            return ""
        with_path = [spec for spec in self.datasets.specs() if spec.takes_path]
        for spec in with_path:
            words = _looks(spec, Path(name))
            if words:
                return f" {name} looks like {words}: write {spec.name}:{name}."
        ways = [f"{spec.name}:{name}" for spec in with_path]
        return f" A path follows the name of a data set: {' or '.join(ways)}." if ways else ""

    def joined_by(self, owner: str, records: Iterable[Spec]) -> Registry:
        """Return a copy with these records, which replace others of their names."""
        made = Registry()
        made.problems, made.modules = list(self.problems), dict(self.modules)
        for own, copied in zip(self.shelves, made.shelves, strict=True):
            copied.entries = {name: list(entries) for name, entries in own.entries.items()}
        for spec in records:
            (shelf,) = (shelf for shelf in made.shelves if isinstance(spec, shelf.record))
            shelf.entries[spec.name] = [(owner, spec)]
        return made

    def add(self, plugin: object, owner: str) -> None:
        """Read the records of one plugin (a module or object with hook implementations).

        A hook that raises or returns something else becomes a `Problem`; the plugin's other
        hooks are still used.
        """
        manager = pluggy.PluginManager(GROUP)
        manager.add_hookspecs(hookspecs)
        try:
            manager.register(plugin, name=owner)
            manager.check_pending()
        except (Exception, SystemExit) as error:
            self.problems.append(Problem(owner, error_text.raised(error), names=(_point(owner),)))
            return
        for shelf in self.shelves:
            try:
                self._shelve(shelf, getattr(manager.hook, shelf.hook)(), owner)
            except (Exception, SystemExit) as error:
                message = f"{shelf.hook}: {error_text.raised(error)}"
                self.problems.append(Problem(owner, message, names=(_point(owner),)))

    def _shelve(self, shelf: Shelf[Any], answers: Sequence[Any], owner: str) -> None:
        for spec in (spec for answer in answers for spec in answer):
            if not isinstance(spec, shelf.record):
                raise TypeError(f"returned {spec!r}, expected {shelf.record.__name__} records")
            rivals = shelf.entries.setdefault(spec.name, [])
            rivals.append((owner, spec))
            if len(rivals) > 1:
                owners = " and ".join(repr(name) for name, _ in rivals)
                self.problems.append(
                    Problem(owner, f"the {shelf.kind} {spec.name!r} comes from {owners}")
                )


def load(points: Iterable[EntryPoint] | None = None, extra: Mapping[str, object] = {}) -> Registry:
    """Load the plugins of the entry points given (default: all installed) and of `extra`."""
    registry = Registry()
    chosen = entry_points(group=GROUP) if points is None else points
    named = cache(lambda dist: str(dist.name))  # each look reads the metadata of the distribution
    owned = {p: f"{named(p.dist)}:{p.name}" if p.dist else p.name for p in chosen}
    for point, owner in sorted(owned.items(), key=lambda item: item[1].rpartition(":")[::2]):
        try:
            with put_back(point.module):
                plugin = point.load()
        except (Exception, SystemExit) as error:  # a third party's import: anything can be raised
            registry.problems.append(Problem(owner, error_text.raised(error), names=(point.name,)))
            continue
        registry.modules[owner] = point.module
        registry.add(plugin, owner)
    for owner, plugin in extra.items():
        registry.add(plugin, owner)
    return registry


@cache
def installed() -> Registry:
    """Return the registry of all installed plugins, loaded once a process."""
    return load()


def _looks(spec: DatasetSpec, path: Path) -> str:
    """Return what a path looks like to a data set, or ""."""
    if not spec.looks_like:
        return ""
    try:
        looks_like = resolve(spec.looks_like, owner=f"data set {spec.name!r}")
        return str(looks_like(path))
    except Exception:  # a third party's guess must not replace the error that asked for it
        return ""


def _point(owner: str) -> str:
    """Return the entry point's name of a plugin: the name that users are likely to type."""
    return owner.rpartition(":")[2]
