"""`pflbench tune`: the same number of trials for every method of a matrix."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from pflbench.cli.cells import cells_options, take_matrix
from pflbench.cli.names import COUNT, read_seeds
from pflbench.cli.options import data_options, device_option, engine_option, results_option
from pflbench.cli.session import INTERRUPTED, ArgumentsKept, debug_option, warn
from pflbench.cli.together import processes, several
from pflbench.cli.where import executor_options, take_where
from pflbench.errors import InputError

if TYPE_CHECKING:
    from pflbench.matrix import Matrix, TuningPlan

_HELP = """Give every method of a matrix the same number of trials over its parameters.

What is tuned is what methods declare, and the learning rate of their clients. Trials are chosen by
validation accuracy and kept in the results folder; a search that was interrupted goes on.

In a matrix file, [cyan]\\[tuning][/cyan] says how many trials there are, and then
[cyan]pflbench run --matrix[/cyan] runs every method with its best setting.

\b
[bold]Examples[/bold]
  pflbench tune --matrix paper.toml --jobs 4
  pflbench tune --algo fedavg,fedora --dataset mnist --trials 8 --trial-rounds 50
"""

_MACHINE = ["--device", "--engine", "--data-dir", "--no-fallback"]
_TRIALS = ["--trials", "--trial-rounds", "--trial-seed"]


@click.command(cls=ArgumentsKept, help=_HELP, short_help="Tune every method alike, on validation.")
@cells_options()
@click.option_panel("Trials (default: those of the matrix file)", options=_TRIALS)
@click.option_panel("Machine and data", options=_MACHINE)
@executor_options
@click.option_panel("Results and output", options=["--results", "--quiet", "--debug", "--help"])
@click.option("--trials", metavar="N", type=COUNT, help="Trials of every method and scenario.")
@click.option(
    "--trial-rounds", metavar="N", type=COUNT,
    help="Communication rounds of a trial; default: those of the scenario.",
)  # fmt: skip
@click.option(
    "--trial-seed", "trial_seeds", metavar="N", multiple=True,
    help="Seed that trials run with, or a list: a trial's value is the mean; default: 0.",
)  # fmt: skip
@device_option
@engine_option
@data_options
@results_option
@click.option("--quiet", is_flag=True, help="Show no progress, only the table at the end.")
@debug_option
@click.pass_context
def tune(
    ctx: click.Context, /, *, results: Path, quiet: bool, no_fallback: bool, trials: int | None,
    trial_rounds: int | None, trial_seeds: tuple[str, ...], **options: Any,
) -> int:  # fmt: skip
    """Run the trials that are missing, print what was found."""
    from pflbench.cli.screen import waiting

    where = take_where(options)
    if several():
        raise InputError(
            "pflbench tune and torchrun exclude each other: expected --jobs for several trials at "
            "a time."
        )
    with processes(ctx.obj, partial(_interrupted, ctx)):
        with waiting("loading", show=not quiet):
            matrix = take_matrix(ctx, options)
            seeds = tuple(read_seeds(trial_seeds)) if trial_seeds else None
            plan = _plan(matrix, trials, trial_rounds, seeds)
            requests = matrix.requests(fallback=not no_fallback, **options)

            from pflbench.cli.trials import run_trials

        run_trials(requests, plan, results, where.make, quiet=quiet)
    return 0


def _interrupted(ctx: click.Context) -> int:
    again = shlex.join(["pflbench", "tune", *ctx.meta["pflbench.arguments"]])
    warn(f"\nInterrupted; trials are kept, and go on where they stopped. To go on: {again}")
    return INTERRUPTED


def _plan(
    matrix: Matrix, trials: int | None, rounds: int | None, seeds: tuple[int, ...] | None
) -> TuningPlan:
    """Return what the options say of trials, and for the rest the matrix file."""
    from pflbench.matrix import TuningPlan

    if trials is None and matrix.tuning is None:
        raise InputError(
            "How many trials is not said: expected --trials N, or trials under [tuning] in a "
            "matrix file."
        )
    plan = matrix.tuning or TuningPlan(trials=trials or 1)
    return TuningPlan(
        trials=trials or plan.trials, rounds=rounds or plan.rounds, seeds=seeds or plan.seeds
    )
