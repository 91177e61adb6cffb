"""From a matrix to the same matrix with tuned settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pflbench.errors import InputError
from pflbench.matrix import Matrix, TuningPlan
from pflbench.results.tunings import Study, studies_of
from pflbench.runs.request import RunRequest
from pflbench.runs.sourcing import steady_files
from pflbench.tuning.targets import Target, target


def requests_of(matrix: Matrix, results: Path, **machine: Any) -> list[RunRequest]:
    """Return the requests of a matrix, with tuned settings if it says that it is tuned.

    Parameters
    ----------
    matrix
        The matrix.
    results
        Where its tuning is kept.
    machine
        What `RunRequest` has besides a scenario: device, engine, data_dir, ...

    Raises
    ------
    InputError
        No cell is left, or tuning is not done yet.
    """
    requests = matrix.requests(**machine)
    return requests if matrix.tuning is None else tuned(requests, matrix.tuning, results)


def tuned(requests: Sequence[RunRequest], plan: TuningPlan, results: Path) -> list[RunRequest]:
    """Return the requests with the setting of the best trial of each study.

    A study none of whose trials came to an end leaves its cells as they are.

    Raises
    ------
    InputError
        A study is missing, or has fewer trials than the plan asks for.
    """
    known = {study.id: study for study in studies_of(results)}
    made, missing = [], dict[str, Target]()
    with steady_files():
        for request in requests:
            wanted = target(request, plan)
            study = known.get(wanted.study.id)
            if study is None or len(study.finished) < plan.trials:
                missing[wanted.study.id] = wanted
                continue
            made.append(dataclasses.replace(request, parameters=_best(study, plan, request)))
    if missing:
        first = next(iter(missing.values()))
        raise InputError(
            f"{len(missing)} of the matrix's methods and scenarios are not tuned in {results} yet, "
            f"with {plan.trials} trials each ({first.title} is one): run pflbench tune first."
        )
    return made


def _best(study: Study, plan: TuningPlan, request: RunRequest) -> dict[str, object]:
    best = study.best_of(plan.trials)  # not more than the other methods have
    return {**request.parameters, **({} if best is None else best.parameters)}
