"""`pflbench tune`: the same number of trials for every method of a matrix."""

from __future__ import annotations

import dataclasses
import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from pflbench.cli.executor_options import executor_options, take_where
from pflbench.cli.option_types import COUNT, read_seeds
from pflbench.cli.scenario_options import cells_options, take_matrix
from pflbench.cli.session import INTERRUPTED, ArgumentsKept, debug_option, warn
from pflbench.cli.shared_options import data_options, device_option, engine_option, results_option
from pflbench.cli.torchrun import processes, several
from pflbench.errors import InputError
from pflbench.extras import needed

if TYPE_CHECKING:
    from pflbench.experiments.grid import Matrix, TuningPlan

_HELP = """Give every method of a matrix the same number of trials over its parameters.

Tuned are the parameters that methods declare, and the learning rate of their clients. Trials are
chosen by validation accuracy, or another metric, and kept in the results folder; the same command
resumes an interrupted search.

If the best value of a method is the smallest or the largest tried, every method gets equally many
further trials, until the value is inside the tried ones or at the method's declared bound.

In a matrix file, [cyan]\\[tuning][/cyan] sets the number of trials, and then
[cyan]pflbench run --matrix[/cyan] runs every method with its best setting.

\b
[bold]Examples[/bold]
  pflbench tune --matrix paper.toml --jobs 4
  pflbench tune --algo fedavg,fedora --dataset mnist --trials 8 --trial-rounds 50
  pflbench tune --algo fedavg --dataset mnist --trials 8 --score macro-f1
"""

_MACHINE = ["--device", "--engine", "--data-dir", "--no-fallback"]
_TRIALS = ["--trials", "--max-trials", "--extend", "--trial-rounds", "--trial-seed", "--score"]


@click.command(cls=ArgumentsKept, help=_HELP, short_help="Tune every method alike, on validation.")
@cells_options()
@click.option_panel("Trials (default: those of the matrix file)", options=_TRIALS)
@click.option_panel("Machine and data", options=_MACHINE)
@executor_options
@click.option_panel("Results and output", options=["--results", "--quiet", "--debug", "--help"])
@click.option("--trials", metavar="N", type=COUNT, help="Trials of every method and scenario.")
@click.option(
    "--trial-rounds",
    metavar="N",
    type=COUNT,
    help="Communication rounds of a trial; default: those of the scenario.",
)
@click.option(
    "--trial-seed",
    "trial_seeds",
    metavar="N",
    multiple=True,
    help="Seed that trials run with, or a list: a trial's value is the mean; default: 100, or the "
    "next one that no compared run has.",
)
@click.option(
    "--extend/--no-extend",
    default=None,
    help="Continue if a best value is at the end of the tried ones, or stop at --trials; default: "
    "continue.",
)
@click.option(
    "--max-trials",
    metavar="N",
    type=COUNT,
    help="At most N trials of every method when they are continued; default: no limit.",
)
@click.option(
    "--score",
    metavar="NAME",
    help="Choose by this metric on validation, in the direction that its record says: one of a "
    "plugin, or loss, brier, ece; default: accuracy.",
)
@device_option
@engine_option
@data_options
@results_option
@click.option("--quiet", is_flag=True, help="Show no progress, only the table at the end.")
@debug_option
@click.pass_context
def tune(
    ctx: click.Context,
    /,
    *,
    results: Path,
    quiet: bool,
    no_fallback: bool,
    trials: int | None,
    trial_rounds: int | None,
    trial_seeds: tuple[str, ...],
    extend: bool | None,
    max_trials: int | None,
    score: str | None,
    **options: Any,
) -> int:
    """Run the missing trials and print the best settings."""
    from pflbench.report.terminal.screen import waiting

    where = take_where(options)
    if several():
        raise InputError(
            "pflbench tune and torchrun exclude each other: expected --jobs for several trials at "
            "a time."
        )
    with processes(ctx.obj, partial(_interrupted, ctx)):
        with waiting("loading", show=not quiet):
            needed("optuna", "pflbench tune", "tune")
            matrix = take_matrix(ctx, options)
            plan = _plan(
                matrix,
                trials=trials,
                rounds=trial_rounds,
                extend=extend,
                max_trials=max_trials,
                score=score,
                seeds=tuple(read_seeds(trial_seeds)) if trial_seeds else None,
            )
            requests = matrix.requests(fallback=not no_fallback, **options)

            from pflbench.cli.tune_trials import run_trials

        run_trials(requests, plan, results, where.make, quiet=quiet)
    return 0


def _interrupted(ctx: click.Context) -> int:
    again = shlex.join(["pflbench", "tune", *ctx.meta["pflbench.arguments"]])
    warn(f"\nInterrupted; trials are kept, and resume where they stopped. To resume: {again}")
    return INTERRUPTED


def _plan(matrix: Matrix, **given: Any) -> TuningPlan:
    """Return the settings of trials from the options, and for the rest from the matrix file."""
    from pflbench.experiments.grid import TuningPlan, seeds_apart

    said = {name: value for name, value in given.items() if value is not None}
    if "trials" not in said and matrix.tuning is None:
        raise InputError(
            "The number of trials is missing: expected --trials N, or trials under [tuning] in a "
            "matrix file."
        )
    if matrix.tuning is None:
        plan = TuningPlan(**{"seeds": seeds_apart(matrix.seeds), **said})
    else:
        unbounded = {"max_trials": None} if said.get("extend") is False else {}
        plan = dataclasses.replace(matrix.tuning, **{**unbounded, **said})
    plan.check()
    return plan
