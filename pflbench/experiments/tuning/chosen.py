"""From a matrix to the same matrix with tuned settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pflbench.errors import InputError
from pflbench.experiments.grid import Matrix, TuningPlan
from pflbench.experiments.tuning.budget import budgets
from pflbench.experiments.tuning.targets import target
from pflbench.results.tunings import Study, studies_of
from pflbench.runs.request import RunRequest
from pflbench.runs.resolved_data import DataCache


def requests_of(matrix: Matrix, results: Path, **machine: Any) -> list[RunRequest]:
    """Return the requests of a matrix, with tuned settings if it says that it is tuned.

    Parameters
    ----------
    matrix
        The matrix.
    results
        Where its tuning is kept.
    machine
        The fields of `RunRequest` outside a scenario: device, engine, data_dir, ...

    Raises
    ------
    InputError
        No cell is left, or tuning is not done yet.
    """
    requests = matrix.requests(**machine)
    return requests if matrix.tuning is None else tuned(requests, matrix.tuning, results)


def tuned(requests: Sequence[RunRequest], plan: TuningPlan, results: Path) -> list[RunRequest]:
    """Return the requests with the setting of the best trial of each study.

    A study without a finished trial leaves its cells unchanged. If a study has more trials than the
    others of its scenario, the additional ones are ignored.

    Raises
    ------
    InputError
        A study is missing, or has fewer trials than the plan gives it.
    """
    known = {study.id: study for study in studies_of(results)}
    cache = DataCache(steady=True)
    wanted = [target(request, plan, cache)[0] for request in requests]
    titles = {one.study.id: one.title for one in wanted}
    found = {study_id: known[study_id] for study_id in titles if study_id in known}
    begun = {name: s for name, s in found.items() if len(s.finished) >= plan.trials}
    if missing := [title for study_id, title in titles.items() if study_id not in begun]:
        raise InputError(
            f"{len(missing)} of the matrix's methods and scenarios are not tuned in {results} yet, "
            f"with {plan.trials} trials each ({missing[0]} is one): run pflbench tune first."
        )
    trials = budgets(found.values(), plan)
    for study_id, study in found.items():
        if len(study.finished) < trials[study_id].trials:
            which, edge = trials[study_id].because[0]
            raise InputError(
                f"Tuning in {results} is not finished: the best of {titles[which]} is {edge}. Run "
                "pflbench tune, which continues from there with every method, or write "
                "extend = false under [tuning]."
            )
    return [
        dataclasses.replace(
            request, parameters=_best(found[one.study.id], trials[one.study.id].trials, request)
        )
        for request, one in zip(requests, wanted, strict=True)
    ]


def _best(study: Study, trials: int, request: RunRequest) -> dict[str, object]:
    best = study.best_of(trials)  # not more than the other methods have
    return {**request.parameters, **({} if best is None else best.parameters)}
