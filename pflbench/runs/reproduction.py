"""Repeating a stored run, and comparing the results."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pflbench.engine import choose_device
from pflbench.errors import InputError, UnknownNameError, WorkError
from pflbench.results import Store, StoredRun
from pflbench.results.stored import NO_COMPUTATION
from pflbench.runs.comparison import Compared, compare_runs, compare_summaries
from pflbench.runs.data import IN_MEMORY
from pflbench.runs.environment import environment
from pflbench.runs.execution import execute
from pflbench.runs.identity import Identified, identify
from pflbench.runs.model_files import model_of_file
from pflbench.runs.observer import Observer
from pflbench.runs.planning import PlannedRun, made
from pflbench.runs.request import RunRequest
from pflbench.schema import plugins
from pflbench.schema.expressions import is_model_file
from pflbench.schema.numbers import number_of
from pflbench.schema.paths import path_of
from pflbench.schema.scenario import Choice
from pflbench.schema.settings import parse_settings
from pflbench.schema.specs import AlgorithmSpec

TOLERANCE = 0.05
"""Share by which numbers may differ on another machine.

Rounding errors grow while models train. Between the two engines, whose sums are ordered as
differently as those of two machines, 60 rounds (36 clients, a small MLP) grew them to 0.02 % of a
loss for FedAvg, 0.6 % for FEDORA and 1.2 % for pFedHN, and to one or two samples of a client with
27; runs are longer than that.
"""

_BITS = (
    "device",
    "accelerator",
    "processor",
    "machine",
    "engine",
    "chunk_limit",
    "python",
    "packages",
    "commit",
    "processes",
)
"""The entries of an environment that decide the last digits."""


@dataclass(frozen=True)
class Agreement:
    """The outcome of repeating a stored run.

    Attributes
    ----------
    run_id
        The run.
    agrees
        Whether it does: bit for bit, or within the tolerance.
    exact
        Whether everything is the same bit for bit.
    tolerance
        The allowed differences; None for none, on the machine that the run was computed on.
    elsewhere
        Differences from the original environment: "processor", "packages", ...
    tables
        All that was compared.
    failure_here, failure_there
        How the two runs failed, in words; "" for a complete run.
    """

    run_id: str
    agrees: bool
    exact: bool
    tolerance: float | None
    elsewhere: tuple[str, ...]
    tables: tuple[Compared, ...]
    failure_here: str = ""
    failure_there: str = ""

    @property
    def verdict(self) -> str:
        """The outcome in a sentence."""
        if self.failure_here != self.failure_there:
            here = f"failed now ({self.failure_here})" if self.failure_here else "is complete now"
            there = f"failed ({self.failure_there})" if self.failure_there else "was complete"
            return f"It differs: the run {here}, and {there} when it was stored."
        failed = ", failure and all" if self.failure_here else ""
        if self.exact:
            return f"It agrees{failed}, bit for bit."
        if self.agrees:
            return f"It agrees{failed} within a tolerance of {self.tolerance:g}."
        if self.tolerance is None:
            return "It differs: on this machine, every bit should be the same."
        return f"It differs by more than a tolerance of {self.tolerance:g}."

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON values; infinite numbers are null."""
        values = {**asdict(self), "verdict": self.verdict}
        for table in values["tables"]:
            for difference in table["differences"]:
                if difference["largest"] == float("inf"):
                    difference["largest"] = None
        return values


class OtherDataError(WorkError):
    """The data on this machine are not the run's data."""


def reproduce(
    run: str | StoredRun,
    *,
    results: Path | str = "results",
    data_dir: Path | str | None = None,
    fallback: bool = True,
    dataset: str | None = None,
    tolerance: float | None = None,
    keep: Path | str | None = None,
    observers: Iterable[Observer] = (),
    registry: plugins.Registry | None = None,
) -> Agreement:
    """Run a stored run again and compare everything but time and memory.

    Parameters
    ----------
    run
        A run, or its id or first digits.
    results
        The results folder with it, which is not changed.
    data_dir, fallback
        As of `RunRequest`.
    dataset
        The data set, `name:PATH`, if its files are at a different path on this machine.
    tolerance
        Allowed differences (`compare_runs`); None for none on the machine that the run was computed
        on, and `TOLERANCE` elsewhere.
    keep
        A results folder to keep the new run in; None keeps nothing.
    observers
        Notified of its rounds, in addition to plugins' observers.
    registry
        Where its method and data are looked up; None for the installed plugins.

    Raises
    ------
    InputError
        The run does not exist, or cannot be reproduced: the message says why.
    OtherDataError
        The data found here are others. Nothing was trained.
    """
    stored = run if isinstance(run, StoredRun) else _find(run, path_of(results, "results"))
    keep = None if keep is None else path_of(keep, "keep")
    if keep is not None and keep.resolve() == stored.folder.parents[1].resolve():
        raise InputError(f"{keep} holds the run itself: expected another folder to keep it in.")
    if tolerance is not None:
        number = number_of(tolerance)
        if number is None or not 0 <= number < 1:
            raise InputError(
                f"tolerance {tolerance!r} is not valid: expected a number ≥ 0 and < 1."
            )
        tolerance = float(number)
    registry = registry or plugins.installed()
    _check(stored, registry)
    where = stored.environment
    request = replace(
        request_of(stored, dataset),
        data_dir=data_dir,
        fallback=fallback,
        rerun="always",
        device=_device(where),
        engine=str(where["engine"]),
        chunk=_chunk(where),
        metrics=_named_metrics(stored, registry),
    )
    found = identify(request, registry)
    _same_data(stored, found)
    if found.cell.id != stored.id:
        raise InputError(
            f"Run {stored.id} cannot be reproduced with the installed plugins: its "
            f"{_changed(stored.cell, found.cell.to_json())} would differ, and so would the run."
        )
    planned = made(found)
    elsewhere = _elsewhere(stored, planned)
    if tolerance is None and elsewhere:
        tolerance = TOLERANCE
    folder = tempfile.TemporaryDirectory() if keep is None else nullcontext(str(keep))
    with folder as place:
        again = _again(planned, Store(Path(place), create=True), observers)
        return _agreement(again, stored, tolerance, elsewhere)


def request_of(stored: StoredRun, dataset: str | None = None) -> RunRequest:
    """Return the request of a stored run, from its cell and labels."""
    cell = stored.typed_cell
    asked = cell.scenario.asked()
    asked["dataset"] = dataset or stored.labels.get("dataset", asked["dataset"])
    asked["partition"] = stored.labels.get("partition", asked["partition"])
    asked["population"] = stored.labels.get("population", asked["population"])
    asked["init"] = stored.labels.get("init", asked["init"])
    return RunRequest(
        cell.algorithm.name, parameters=dict(cell.algorithm.parameters), seed=cell.seed, **asked
    )


def _find(start: str, results: Path) -> StoredRun:
    # Not examined: reproducing shows how a run differs from the original.
    return Store(results).named(start, examine=False)


def _check(stored: StoredRun, registry: plugins.Registry) -> None:
    """Refuse a run that cannot be repeated, in a sentence."""
    cannot = f"Run {stored.id} cannot be reproduced: "
    stored.check()
    for path in sorted(stored.folder.glob("[!.]*.parquet")):  # damage is reported first
        stored.table(path.stem)
    if stored.status == "unfinished":
        raise InputError(cannot + "it is unfinished, with nothing to compare yet.")
    if stored.failure.get("error") in NO_COMPUTATION:
        raise InputError(cannot + f"not what it computed failed: {stored.failure['message']}")
    cell = stored.typed_cell
    s = cell.scenario
    if s.partition.name == IN_MEMORY.partition:
        raise InputError(cannot + "its federation was in the memory of the program that ran it.")
    chosen: list[tuple[Any, Choice | None]] = [
        (registry.algorithms, cell.algorithm),
        (registry.models, s.model),
        (registry.partitioners, s.partition),
        (registry.populations, s.population),
        (registry.optimizers, s.optimizer),
        (registry.schedules, s.schedule),
        (registry.participations, s.participation if isinstance(s.participation, Choice) else None),
    ]
    for shelf, choice in chosen:
        if choice is None:
            continue
        try:
            if shelf is registry.models and is_model_file(choice.name):
                version = model_of_file(choice.name).choice.version
            else:
                spec = registry.get(shelf, choice.name)
                version = _version(spec, choice, registry, cannot)
        except UnknownNameError as error:
            raise InputError(cannot + f"its {shelf.kind} is missing. {error}") from error
        if version != choice.version:
            raise InputError(
                cannot + f"it was computed with version {choice.version or 'none'} of the "
                f"{shelf.kind} {choice.name!r}, and version {version or 'none'} is installed."
            )


def _version(spec: Any, choice: Choice, registry: plugins.Registry, cannot: str) -> str:
    """Return the version of an installed plugin, as an identity with its choice has it."""
    if not isinstance(spec, AlgorithmSpec):
        return str(spec.version)
    try:
        return parse_settings(spec, choice.parameters, registry).version(spec)
    except InputError as error:  # it names a plugin, or has a parameter, that is no more
        raise InputError(f"{cannot}{error}") from error


def _device(where: Mapping[str, Any]) -> str:
    """Return the run's device, if this machine has it; else the default."""
    try:
        return str(choose_device(str(where["device"])))
    except InputError:
        return "auto"


def _chunk(where: Mapping[str, Any]) -> int | None:
    """Return how many rows may train together, if it was stored."""
    limit = where.get("chunk_limit", where.get("chunk"))
    return limit if where["engine"] == "stacked" else None


def _named_metrics(stored: StoredRun, registry: plugins.Registry) -> list[str]:
    """Return the metrics of a run that it has because they were named."""
    there = stored.arrow("metrics").column_names if stored.has_table("metrics") else []
    return [m.name for m in registry.metrics.specs() if m.opt_in and m.name in there]


def _same_data(stored: StoredRun, found: Identified) -> None:
    there, here = stored.typed_cell.scenario.fingerprint, found.cell.scenario.fingerprint
    if there == here:
        return
    notice = str(stored.labels.get("notice") or "")
    told = f" The run had {notice}." if notice else ""
    told += f" Here: {found.said_of_data}" if found.said_of_data else ""
    raise OtherDataError(
        f"The data set {found.dataset!r} found here is not that of run {stored.id}: its "
        f"fingerprint is {here[:12]}, and was {there[:12]}.{told} Nothing was trained."
    )


def _changed(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Name the differences of two cells."""
    a, b = there["scenario"], here["scenario"]
    parts = [(f"scenario's {key}", key, a, b) for key in {**a, **b}]
    parts += [("algorithm's parameters", "algorithm", there, here)]
    names = dict.fromkeys(name for name, key, x, y in parts if x.get(key) != y.get(key))
    return ", ".join(names) or "schema"


def _elsewhere(stored: StoredRun, planned: PlannedRun) -> tuple[str, ...]:
    """Return differences that affect last digits, in any process that did a part."""
    here = {**environment(planned.device, planned.engine, planned.sharing()), "processes": 1}
    was = stored.environment
    return tuple(
        key
        for key in _BITS
        if any(there.get(key, "") != here[key] for there in (was, *was.get("earlier", ())))
    )


def _again(planned: PlannedRun, store: Store, observers: Iterable[Observer]) -> StoredRun:
    failure: Exception | None = None
    try:
        execute(planned, store, observers)
    except Exception as error:  # a plugin's, too: it may be the error to reproduce
        failure = error
    again = store.get(planned.cell.id)
    if again is not None and again.status in ("complete", "failed"):
        return again
    raise failure or WorkError(f"Run {planned.cell.id} left nothing behind.")


def _agreement(
    again: StoredRun, stored: StoredRun, tolerance: float | None, elsewhere: tuple[str, ...]
) -> Agreement:
    here, there = _failure(again), _failure(stored)
    tables = compare_runs(again, stored, tolerance) if bool(here) == bool(there) else []
    if tables and not here and tolerance is None:  # it follows from the tables
        tables.append(compare_summaries(again.summary, stored.summary))
    same = here == there
    every = [difference for table in tables for difference in table.differences]
    return Agreement(
        run_id=stored.id,
        agrees=same and all(difference.agrees for difference in every),
        exact=same and not every,
        tolerance=tolerance,
        elsewhere=elsewhere,
        tables=tuple(tables),
        failure_here=here,
        failure_there=there,
    )


def _failure(run: StoredRun) -> str:
    """Return how a run failed, in words: the error, and where."""
    if run.status != "failed":
        return ""
    places = [
        f"{name} {run.failure[name]}"
        for name in ("round", "client", "step")
        if run.failure.get(name) is not None
    ]
    return ", ".join([str(run.failure.get("error")), *places])
