"""Targets of tuning: for every method and scenario of a matrix, a study and its trials."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pflbench.experiments.grid import TuningPlan
from pflbench.results.tunings import Dimension, Study
from pflbench.results.validated import ACCURACY, LOWER_IS_BETTER
from pflbench.runs.identity import Identified, identify
from pflbench.runs.planning import made
from pflbench.runs.request import RunRequest
from pflbench.runs.resolved_data import DataCache
from pflbench.schema.expressions import Expression
from pflbench.schema.parameters import Scalar, parameters_to_json
from pflbench.schema.settings import RATE, describe_settings


@dataclass(frozen=True, eq=False)
class Target:
    """A method to tune for a scenario.

    Attributes
    ----------
    study
        Without its trials.
    request
        The request of a trial, without its setting and its seed.
    title
        In words.
    """

    study: Study
    request: RunRequest
    title: str

    def with_setting(self, setting: Mapping[str, Scalar], seed: int) -> RunRequest:
        """Return the request of a trial with a seed."""
        parameters = {**self.request.parameters, **setting}
        return dataclasses.replace(self.request, parameters=parameters, seed=seed)


def targets(requests: Iterable[RunRequest], plan: TuningPlan) -> dict[str, Target]:
    """Return the targets of a matrix's cells, by study id: seeds share a study.

    Raises
    ------
    InputError
        A trial is not valid.
    """
    found: dict[str, Target] = {}
    cache = DataCache(steady=True)
    for request in requests:
        one, known = target(request, plan, cache)
        if one.study.id not in found:
            made(known)  # impossible cells are refused before any trial
            found[one.study.id] = one
    return found


def target(request: RunRequest, plan: TuningPlan, cache: DataCache) -> tuple[Target, Identified]:
    """Return the study that serves a cell of a matrix, and the cell of its trials so far.

    Raises
    ------
    InputError
        The cell is not valid.
    """
    trial = dataclasses.replace(
        request, seed=plan.seeds[0], rounds=plan.rounds or request.rounds, rerun="missing"
    )
    if plan.score not in (ACCURACY, *LOWER_IS_BETTER):
        trial = dataclasses.replace(trial, metrics=(*trial.metrics, plan.score))
    if trial.rounds and trial.eval_every and trial.eval_every > trial.rounds:
        trial = dataclasses.replace(trial, eval_every=trial.rounds)
    if request.new_clients:  # they are no matter of validation: as few of them as can be
        trial = dataclasses.replace(trial, onboard_at=None, shots="1", onboarding_steps=1)
    known = identify(trial, cache=cache)
    study = Study(
        scenario=known.cell.scenario.to_json(),
        algorithm=known.spec.name,
        version=known.cell.algorithm.version,
        fixed=_fixed(known),
        space=_space(known),
        seeds=tuple(plan.seeds),
        score=plan.score,
        higher_is_better=_higher_is_better(plan.score, known),
    )
    method = Expression(request.algorithm, request.parameters)
    where = f"{request.dataset}{f', {request.partition}' if request.partition else ''}"
    return Target(study, trial, f"{method} on {where}"), known


def _higher_is_better(score: str, known: Identified) -> bool:
    if score in (ACCURACY, *LOWER_IS_BETTER):
        return score == ACCURACY
    return known.registry.get(known.registry.metrics, score).higher_is_better


def _fixed(known: Identified) -> dict[str, Scalar]:
    settings = known.settings
    values = {**parameters_to_json(settings.parameters), RATE: settings.local_lr}
    return {name: values[name] for name in known.request.parameters}


def _space(known: Identified) -> tuple[Dimension, ...]:
    """Return the parameters with a tuning range, except the given ones."""
    made = []
    for info in describe_settings(known.spec):
        if info.tune is None or info.name in known.request.parameters:
            continue
        low, high = info.tune
        default = known.cell.scenario.lr if info.name == RATE else info.default
        start = float(default) if isinstance(default, (int, float)) else float(low)
        # The start of the search is inside the range, for any learning rate of the scenario.
        made.append(
            Dimension(
                name=info.name,
                low=min(float(low), start),
                high=max(float(high), start),
                log=info.log,
                whole=info.type.startswith("a whole number"),
                start=start,
            )
        )
    return tuple(made)
