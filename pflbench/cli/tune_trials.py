"""The output of tuning: a line per trial, and a table of the best settings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from pflbench.analysis.marks import EDGE_MARK
from pflbench.analysis.row_names import title
from pflbench.cli.notices import noticing
from pflbench.cli.progress.said_once import SaidOnce
from pflbench.errors import WorkError
from pflbench.experiments.executors import Executor, Watch
from pflbench.experiments.grid import TuningPlan
from pflbench.experiments.tuning.budget import Budget, budgets
from pflbench.experiments.tuning.search import tune
from pflbench.experiments.tuning.targets import Target, targets
from pflbench.report.terminal.screen import literal, progress_console, show, table
from pflbench.results.tuning_edges import edges
from pflbench.results.tunings import Study, Trial, studies_of
from pflbench.results.validated import ACCURACY
from pflbench.runs.request import RunRequest
from pflbench.schema.expressions import Expression
from pflbench.schema.parameters import Scalar
from pflbench.schema.scenario import Scenario


class _Notices(SaidOnce, Watch):
    """Prints what people should see of the trials' runs."""


def run_trials(
    requests: Sequence[RunRequest],
    plan: TuningPlan,
    results: Path,
    executor: Callable[[], Executor],
    *,
    quiet: bool,
) -> None:
    """Tune every method and scenario of the requests, and print the best settings.

    Raises
    ------
    InputError
        A cell is not valid.
    WorkError
        Another process tunes one of them, the machine stopped a trial, or all trials of a method
        failed.
    """
    wanted = targets(requests, plan)
    console = progress_console()
    bar = Progress(
        TextColumn("trials"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    )
    there = sum(min(len(s.finished), plan.trials) for s in studies_of(results) if s.id in wanted)
    notices = _Notices(bar.console, quiet=quiet)
    with bar, executor() as where, noticing(notices.notice, quiet=quiet):
        task = bar.add_task("trials", total=plan.trials * len(wanted), completed=there)

        def ended(target: Target, trial: Trial, trials: int) -> None:
            bar.advance(task)
            if not quiet:
                bar.console.print(_line(target, trial, trials))

        def further(again: Sequence[Target], budget: Budget) -> None:
            bar.update(task, total=(bar.tasks[0].total or 0) + len(again))
            if not quiet:
                for line in _reasons(wanted, budget):
                    bar.console.print(literal(line))

        studies = tune(wanted.values(), plan, results, where, notices, ended, further)
    trials = {name: budget.trials for name, budget in budgets(studies, plan).items()}
    show(_found(studies, trials), *map(literal, _ends(studies, trials)))
    lost = [study for study in studies if study.best_of(trials[study.id]) is None]
    if lost:
        raise WorkError(
            f"All {trials[lost[0].id]} trials of {lost[0].algorithm} failed in {_title(lost[0])}"
            f"{f' (and of {len(lost) - 1} more)' if lost[1:] else ''}: pflbench run will use its "
            "defaults."
        )


def _line(target: Target, trial: Trial, trials: int) -> str:
    said = (
        f"[red]failed[/red]: {literal(trial.reason)}"
        if trial.value is None
        else f"validation {_value(target.study, trial.value)}"
    )
    setting = literal(_setting(trial.parameters))
    number = literal(f"[{trial.number + 1}/{trials}]")
    return f"[dim]{number}[/dim] {literal(target.title)}: {said}  [dim]{setting}[/dim]"


def _setting(parameters: Mapping[str, Scalar], ends: Collection[str] = ()) -> str:
    """Write a setting; `ends` are the parameters with the smallest or largest tried value."""
    return ", ".join(
        f"{name}={value:g}{f' {EDGE_MARK}' if name in ends else ''}"
        for name, value in parameters.items()
    )


def _reasons(wanted: Mapping[str, Target], budget: Budget) -> list[str]:
    """Print which best values are at the end of the tried ones, and the next step."""
    return [
        f"The best of {wanted[study_id].title} is {edge}: trial {budget.trials} of every method."
        for study_id, edge in budget.because
    ]


def _ends(studies: Sequence[Study], trials: Mapping[str, int]) -> list[str]:
    """Print which best values are still at the end of the tried ones."""
    return [
        f"{EDGE_MARK} {study.algorithm} on {_title(study)}: {'; '.join(map(str, found))}"
        for study in studies
        if (found := edges(study, trials[study.id]))
    ]


def _found(studies: Sequence[Study], trials: Mapping[str, int]) -> Table:
    """Return a table of the best settings, without the trials beyond the requested number."""
    made = table("Method", "Scenario", "Trials", "Default", "Best", "Setting of the best")
    for study in studies:
        number = trials[study.id]
        first, best = study.trials[0], study.best_of(number)
        failed = sum(trial.state == "failed" for trial in study.trials[:number])
        count = f"{number}" + (f", {failed} failed" if failed else "")
        ends = {edge.name for edge in edges(study, number)}
        made.add_row(
            literal(str(Expression(study.algorithm, study.fixed))),
            literal(_title(study)),
            count,
            _number(study, first.value),
            "–" if best is None else _number(study, best.value),
            "" if best is None else literal(_setting(best.parameters, ends)),
        )
    return made


def _title(study: Study) -> str:
    return title(str(study.scenario["dataset"]), msgspec.convert(study.scenario, Scenario))


def _value(study: Study, value: float) -> str:
    number = _number(study, value)
    return f"{number} %" if study.score == ACCURACY else f"{study.score} {number}"


def _number(study: Study, value: float | None) -> str:
    """Write a trial's value: an accuracy in percent, another metric as it is."""
    if value is None:
        return "–"
    return f"{100 * value:.2f}" if study.score == ACCURACY else f"{value:.4g}"
