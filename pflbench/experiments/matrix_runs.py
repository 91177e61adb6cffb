"""Running the cells of a matrix: all are checked first, one that fails stops no other."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pflbench.engine.process_group import ALONE, Group
from pflbench.errors import InputError, Notice, Remark, UnknownNameError
from pflbench.experiments.executors import Outcome, Watch, Work, make_executor, run_cells
from pflbench.experiments.grid import Matrix, read_matrix
from pflbench.experiments.grid.grid_checks import checked
from pflbench.experiments.grid.reading import matrix_of
from pflbench.experiments.grid.sharding import Shard
from pflbench.experiments.grid.survey import share_of
from pflbench.experiments.tuning.chosen import requests_of
from pflbench.results import Store
from pflbench.runs import Result, RunRequest
from pflbench.runs.distributed import device_for
from pflbench.runs.request import RERUN
from pflbench.schema import plugins
from pflbench.schema.expressions import Expression
from pflbench.schema.numbers import whole_of
from pflbench.schema.paths import path_of


@dataclass(frozen=True)
class CellOutcome:
    """The outcome of a cell of a matrix.

    Attributes
    ----------
    title
        The cell in words.
    run_id
        12 hex digits, the name of the run's folder.
    status
        "complete": it was run to its end; "there": it was complete already; "failed".
    reason
        Why it failed, in one sentence; else "".
    results
        The results folder.
    trace
        The traceback of a failure; else "".
    """

    title: str
    run_id: str
    status: Literal["complete", "there", "failed"]
    reason: str
    results: Path = field(repr=False)
    trace: str = field(default="", repr=False)

    @property
    def done(self) -> bool:
        """Whether the cell has a result."""
        return self.status != "failed"

    @property
    def result(self) -> Result:
        """The cell's result, read from its folder.

        Raises
        ------
        InputError
            The cell failed, or its folder is damaged.
        """
        if not self.done:
            raise InputError(f"{self.title} has no result: {self.reason}")
        return Result.stored(Store(self.results).named(self.run_id))


class _Warnings(Watch):
    """Gives an executor's notices as warnings."""

    def notice(self, text: str) -> None:
        """Warn of something about the execution that people should see."""
        warnings.warn(text, Notice, stacklevel=2)

    def remark(self, text: str) -> None:
        """Warn of something that no number depends on."""
        warnings.warn(text, Remark, stacklevel=2)


def run_matrix(
    matrix: Path | str | Mapping[str, Any],
    *,
    results: Path | str = "results",
    jobs: int | None = None,
    executor: Literal["auto", "here", "processes", "ray"] = "auto",
    shard: str | None = None,
    rerun: Literal["missing", "always"] = "missing",
    keep_models: str | None = None,
    keep_predictions: str | None = None,
    device: str = "auto",
    engine: Literal["auto", "stacked", "sequential"] = "auto",
    chunk: int | None = None,
    metrics: Sequence[str] = (),
    data_dir: Path | str | None = None,
    fallback: bool = True,
    watch: Watch | None = None,
) -> list[CellOutcome]:
    """Run methods × scenarios × seeds; store each cell; return all outcomes.

    Every cell is checked before the first one starts. Cells that are complete are not run again.
    A cell that fails stops no other. The same call after an interruption resumes the rest.

    Parameters
    ----------
    matrix
        Path of a TOML file (docs/matrix.md), or a mapping with the same keys: "methods", "seeds",
        "scenario", "scenarios", "exclude", "tuning". Paths of data sets are relative to the file's
        folder, and in a mapping to the working directory.
    results
        The results folder; it is made if it does not exist.
    jobs
        Cells that run at a time, each in a worker process with its share of the cores; None for
        one, and on a Ray cluster for as many as it has room for.
    executor
        Where cells run: "here" in this process, in worker "processes", on a "ray" cluster; "auto"
        is "here" for one job, else "processes". The numbers are the same.
    shard
        "2/8" runs the second of eight parts: all parts together run each cell once.
    rerun
        "missing" runs incomplete cells, "always" all again.
    keep_models, keep_predictions, device, engine, chunk, data_dir, fallback
        As of `pflbench.run`.
    metrics
        Names of metrics to compute besides those that every run has. A run that is complete keeps
        its own: rerun="always" computes them.
    watch
        Notified of the cells' progress (`pflbench.experiments.executors.Watch`); None gives
        important notices as warnings.

    Returns
    -------
    list[CellOutcome]
        One for each cell, in the order of the matrix; equal cells appear once.

    Raises
    ------
    InputError
        Invalid input. Nothing was run or written.

    Examples
    --------
    >>> import pflbench
    >>> outcomes = pflbench.run_matrix(  # doctest: +SKIP
    ...     {
    ...         "methods": ["local", "fedavg", "fedprox(mu=0.1)"],
    ...         "seeds": [0, 1, 2],
    ...         "scenario": {"dataset": "mnist", "rounds": 100},
    ...     },
    ...     jobs=4,
    ... )
    >>> [o.reason for o in outcomes if not o.done]  # doctest: +SKIP
    """
    if rerun not in RERUN:
        raise UnknownNameError("choice for rerun", rerun, RERUN)
    if jobs is not None and whole_of(jobs) is None:
        raise InputError(f"jobs = {jobs!r} is not valid: expected a whole number ≥ 1.")
    where = make_executor(executor, None if jobs is None else whole_of(jobs), main=False)
    folder = path_of(results, "results")
    requests = requests_of(
        matrix_from(matrix),
        folder,
        rerun=rerun,
        keep_models=keep_models,
        keep_predictions=keep_predictions,
        device=device,
        engine=engine,
        chunk=chunk,
        metrics=metrics,
        data_dir=data_dir,
        fallback=fallback,
    )
    works = works_of(requests, folder, shard=None if shard is None else Shard.read(shard))
    with where as entered:
        outcomes = run_cells(works, entered, watch or _Warnings())
    return [_told(work, outcomes[work.run_id]) for work in works]


def works_of(
    requests: Sequence[RunRequest], results: Path, group: Group = ALONE, shard: Shard | None = None
) -> list[Work]:
    """Plan every cell and look for its run, so that all errors are raised before any cell starts.

    For a matrix in parts, each part checks all cells: none starts what another will refuse.

    Of several processes, the first one of a machine plans before the others, which then find its
    downloads. Only the first of all reads results.

    Returns
    -------
    The cells of this part; equal cells appear once.

    Raises
    ------
    InputError
        A cell is not valid, or the results folder is damaged. Nothing was written.
    """
    store = Store(results, missing_ok=True) if group.first else None
    if group.local_rank:
        group.meet("data")
    found = checked(requests, store, partial(device_for, group=group))
    cells = share_of(found, shard)
    if not group.local_rank:
        group.meet("data")
    ids = group.share_json(list(cells))
    if ids != list(cells):
        raise InputError(
            f"This process would run {', '.join(cells)}, the first one {', '.join(ids)}: each "
            "process needs the same command, data and plugins."
        )
    group.meet("start")
    return [
        Work(run_id, one.request, results, title(one.request), one) for run_id, one in cells.items()
    ]


def title(request: RunRequest) -> str:
    """Return a cell in words."""
    method = str(Expression(request.algorithm, request.parameters))
    partition = f", {request.partition}" if request.partition else ""
    return f"{method} on {request.dataset}{partition}, seed {request.seed}"


def matrix_from(matrix: object) -> Matrix:
    """Return the matrix of a file or a mapping.

    Raises
    ------
    InputError
        It is neither, or not valid.
    """
    if isinstance(matrix, Mapping):
        return matrix_of(_plain(matrix), Path(), plugins.installed())
    if isinstance(matrix, str | os.PathLike):
        return read_matrix(path_of(matrix, "matrix"))
    raise InputError(f"matrix = {matrix!r} is not valid: expected a TOML file's path or a mapping.")


def _plain(value: Any) -> Any:
    """Return a value as in a TOML file: dicts and lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list | range):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, os.PathLike) else value


def _told(work: Work, outcome: Outcome) -> CellOutcome:
    assert outcome.status != "busy"  # `run_cells` waits for these
    return CellOutcome(
        work.title, work.run_id, outcome.status, outcome.message, work.results, outcome.trace
    )
