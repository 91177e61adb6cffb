"""Estimates of cells' time and memory: from stored runs, else by a rough rule."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, Literal, get_args

from pflbench.errors import InputError
from pflbench.schema.scenario import Cell

if TYPE_CHECKING:
    from pflbench.results import StoredRun
    from pflbench.runs.identity import Identified

Basis = Literal["method", "scenario", "pace", "rule"]
"""The basis of an estimate: runs of the same method in the same scenario; runs of other methods
in it; the pace of other stored runs; none, so an assumed pace."""

BASES: tuple[Basis, ...] = get_args(Basis)

ASSUMED_PACE = 1e10
"""Assumed pace without any run, in samples × parameters per second: FedAvg with a perceptron
does three times as much on two cores, convolutional networks a tenth."""

SECONDS_A_STEP = 1e-4
"""Assumed shortest time of a local step."""

BASE_BYTES = 700_000_000
"""Memory that is assumed for Python and PyTorch themselves."""

ROWS = 3
"""Rows that are assumed to be kept for each client, each as large as the network."""

_LOOKED_AT = 3
"""Most runs whose memory is read, of many similar ones."""


@dataclass(frozen=True)
class Estimate:
    """The estimate of one cell.

    Attributes
    ----------
    seconds
        As `seconds` of a run's summary.
    memory
        Peak, in bytes.
    basis
        The basis of the seconds.
    """

    seconds: float
    memory: int
    basis: Basis


class Experience:
    """Estimates of future cells from the complete runs of a results folder.

    Parameters
    ----------
    runs
        Of any status.
    """

    def __init__(self, runs: Iterable[StoredRun]) -> None:
        self._by_scenario: dict[str, list[tuple[Cell, StoredRun]]] = defaultdict(list)
        for run in runs:
            if run.status == "complete" and float(run.summary.get("seconds") or 0) > 0:
                cell = run.typed_cell
                self._by_scenario[cell.scenario.id].append((cell, run))

    def estimate(self, found: Identified) -> Estimate:
        """Estimate a cell."""
        cell = found.cell
        there = self._by_scenario.get(cell.scenario.id, [])
        own = [(c, r) for c, r in there if c.algorithm.name == cell.algorithm.name]
        same = [(c, r) for c, r in own if c.algorithm == cell.algorithm] or own
        for like, basis in ((same, "method"), (there, "scenario")):
            if like:
                runs = [run for _, run in like]
                seconds = fmean(float(run.summary["seconds"]) for run in runs)
                memory = _peak(runs) or _memory_by_rule(found)
                return Estimate(seconds, memory, "method" if basis == "method" else "scenario")
        steps, parameters = _steps(found), _parameters(found)
        width = cell.scenario.batch_size
        pace = self._pace(cell.scenario.model.name)
        by_pace = steps * parameters * width / (pace or ASSUMED_PACE)
        seconds = by_pace if pace else max(by_pace, steps * SECONDS_A_STEP)
        return Estimate(seconds, _memory_by_rule(found), "pace" if pace else "rule")

    def _pace(self, model: str) -> float | None:
        """Return the median pace of runs, of those with such a network if any."""
        return median(self._paces.get(model) or self._paces.get("") or [0.0]) or None

    @cached_property
    def _paces(self) -> dict[str, list[float]]:
        """Samples × parameters that runs trained in a second, by network, and of all by ""."""
        paces: dict[str, list[float]] = defaultdict(list)
        for runs in self._by_scenario.values():
            for cell, run in runs:
                summary, scenario = run.summary, cell.scenario
                work = float(summary.get("local_steps") or 0) * scenario.batch_size
                work *= float(summary.get("parameters") or 0)
                if work > 0:
                    for key in (scenario.model.name, ""):
                        paces[key].append(work / float(summary["seconds"]))
        return paces


def _peak(runs: Sequence[StoredRun]) -> int:
    """Return the most memory that some of the runs needed, in bytes; 0 if not recorded."""
    peaks = [0]
    for run in runs[:_LOOKED_AT]:
        try:
            column = run.arrow("rounds", ("peak_memory_bytes",))["peak_memory_bytes"]
        except InputError:  # of an earlier version, or damaged: its summary is all that is used
            continue
        peaks += [int(value) for value in column.to_pylist() if value is not None]
    return max(peaks)


def _steps(found: Identified) -> float:
    """Return about how many local steps a cell has."""
    s = found.cell.scenario
    clients = s.clients * (1 - (s.new_clients.share if s.new_clients else 0))
    cohort = clients * (s.participation if isinstance(s.participation, int | float) else 1)
    if s.local_epochs is None:
        return float(s.rounds * cohort * (s.local_steps or 0))
    batches = math.ceil(_samples(found) / s.clients / s.batch_size)
    return s.rounds * cohort * s.local_epochs * batches


def _samples(found: Identified) -> int:
    """Return the number of training samples of all clients."""
    from pflbench.federation import Federation, Pool

    data = found.data.data
    if isinstance(data, Pool):
        return max(1, len(data.train_x) - data.validation)
    if isinstance(data, Federation):
        return int(data.train.sizes.sum())
    return sum(len(client["train_y"]) for client in data.clients)


def _shape(found: Identified) -> tuple[int, ...]:
    """Return the shape of a sample."""
    return tuple(_inputs(found).shape[1:])


def _inputs(found: Identified) -> Any:
    """Return training samples: all of them, or those of the first client."""
    from pflbench.federation import Federation, Pool

    data = found.data.data
    if isinstance(data, Federation):
        return data.train.x
    return data.train_x if isinstance(data, Pool) else data.clients[0]["train_x"]


def _parameters(found: Identified) -> int:
    """Return the number of parameters of a cell's network."""
    from pflbench.engine.tokens import knowing
    from pflbench.schema.specs import resolve

    parameters = found.model.parameters
    if getattr(parameters, "vocabulary", 0) is None:
        parameters = knowing(parameters, int(_inputs(found).max()))
    build = resolve(found.model.spec.build, owner=f"model {found.model.spec.name!r}")
    classes: int = found.data.data.classes
    return _columns(build, parameters, found.model.spec.name, _shape(found), classes)


@lru_cache(maxsize=64)
def _columns(build: Any, parameters: Any, name: str, shape: tuple[int, ...], classes: int) -> int:
    from pflbench.engine import build_network
    from pflbench.method import Layout

    module = build_network(build, parameters, shape, classes, seed=0, name=name)
    return Layout.of(module, name=name).columns


def _memory_by_rule(found: Identified) -> int:
    """Return about how much memory a cell needs: its data, and some rows for each client."""
    rows = ROWS * found.cell.scenario.clients * _parameters(found)
    data = _samples(found) * math.prod(_shape(found))
    return BASE_BYTES + 4 * (rows + data)
