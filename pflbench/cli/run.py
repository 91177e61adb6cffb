"""`pflbench run`: one cell, or a matrix of them."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import Any

import rich_click as click

from pflbench.cli.executor_options import executor_options, take_where
from pflbench.cli.option_types import COUNT, OneOf, Rounds, complete, listed
from pflbench.cli.scenario_options import cells_options, take_matrix
from pflbench.cli.session import INTERRUPTED, ArgumentsKept, debug_option, warn
from pflbench.cli.shared_options import data_options, device_option, engine_option, results_option
from pflbench.cli.torchrun import processes, several

_HELP = """Run a method, or a matrix of methods, data sets, partitions and seeds.

Without further options, a data set's reference scenario is run. Complete cells are not run
again, and an interrupted run resumes where it stopped.

\b
[bold]Examples[/bold]
  pflbench run --algo fedora --dataset mnist
  pflbench run --algo local,fedavg,fedora --dataset mnist --seed 0,1,2
  pflbench run --algo fedora --dataset mnist --set fedora.alpha=0.7
  pflbench run --algo pfedhn --dataset mnist --clients 50 \\
      --partition "pathological(classes_per_client=2)"
  pflbench run --algo fedavg --dataset npz:my-federation.npz
  pflbench run --matrix paper.toml --dry-run
  pflbench run --matrix paper.toml --shard 2/8
"""

_MACHINE = ["--device", "--engine", "--chunk", "--data-dir", "--no-fallback"]
_RESULTS = [
    "--metrics",
    "--observer",
    "--results",
    "--rerun",
    "--keep-models",
    "--keep-predictions",
    "--dry-run",
    "--quiet",
    "--debug",
    "--help",
]


@click.command(cls=ArgumentsKept, help=_HELP, short_help="Run a method or a matrix of methods.")
@cells_options("--shard")
@click.option_panel("Machine and data", options=_MACHINE)
@executor_options
@click.option_panel("Results and output", options=_RESULTS)
@click.option(
    "--shard",
    metavar="I/N",
    help="Run part I of N of the cells only: all parts together run each cell once.",
)
@device_option
@engine_option
@click.option(
    "--chunk",
    metavar="N",
    type=COUNT,
    help="Clients that the stacked engine trains together at most; the numbers are the same. "
    "Default: by the model's size.",
)
@data_options
@click.option(
    "--metrics",
    metavar="NAME",
    multiple=True,
    shell_complete=complete("metrics", several=True),
    help="Compute these metrics as well, such as balanced-accuracy,macro-f1: see "
    "[cyan]pflbench list metrics[/cyan]. A complete run keeps its own, unless --rerun is always.",
)
@results_option
@click.option(
    "--observer",
    "observers",
    metavar="NAME",
    multiple=True,
    shell_complete=complete("observers", several=True),
    help="Notify these observers, such as tensorboard, wandb, mlflow: see "
    "[cyan]pflbench list observers[/cyan]. They write into the results folder.",
)
@click.option(
    "--rerun",
    type=OneOf(["missing", "always"]),
    default="missing",
    show_default=True,
    help="Run only missing cells, or everything again.",
)
@click.option(
    "--keep-models",
    type=Rounds(every=True),
    metavar="last|selected|every=N",
    help="Store the personal models, too, before adaptation: of the last round, of the round "
    "selected on validation, or of every N-th and the last. See pflbench export.",
)
@click.option(
    "--keep-predictions",
    type=Rounds(every=False),
    is_flag=False,
    flag_value="selected",
    metavar="last|selected",
    help="Store the log-probabilities on validation and test, too, as they are evaluated: of the "
    "last round, or of the round selected on validation, also without a value. See pflbench score.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print the cells, their states, and estimates for those still to run; run and write "
    "nothing.",
)
@click.option("--quiet", is_flag=True, help="Show no progress, only the table at the end.")
@debug_option
@click.pass_context
def run(
    ctx: click.Context,
    /,
    *,
    results: Path,
    quiet: bool,
    no_fallback: bool,
    shard: str | None,
    dry_run: bool,
    metrics: tuple[str, ...],
    observers: tuple[str, ...],
    **options: Any,
) -> int:
    """Plan every cell, run them, print the table."""
    from pflbench.report.terminal.screen import waiting

    where = take_where(options)
    options["metrics"] = listed(metrics, "--metrics")
    options["observers"] = listed(observers, "--observer")
    if several():
        where.refuse_torchrun()
    with processes(ctx.obj, partial(_interrupted, ctx)) as group:
        with waiting("loading", show=not quiet):
            from pflbench.experiments.grid.sharding import Shard

            matrix = take_matrix(ctx, options)
            part = None if shard is None else Shard.read(shard)
            # They import torch: only now, after all checks that need none.
            from pflbench.experiments.tuning.chosen import requests_of

            requests = requests_of(matrix, results, fallback=not no_fallback, **options)
            from pflbench.cli.run_cells import run_all
            from pflbench.experiments.matrix_runs import works_of

        if dry_run:
            from pflbench.cli.status_table import rehearse

            if group is None:
                where.make()  # an executor that is missing is refused here as well
            rehearse(requests, results, part)
            return 0
        # Checking may download data, which shows a bar of its own.
        how = {"quiet": quiet, "debug": ctx.obj.debug}
        if group is not None:
            return run_all(works_of(requests, results, group, part), results, group, **how)
        with where.make() as executor:  # workers get ready meanwhile
            return run_all(works_of(requests, results, shard=part), results, executor, **how)


def _interrupted(ctx: click.Context) -> int:
    again = shlex.join(["pflbench", "run", *ctx.meta["pflbench.arguments"]])
    warn(
        "\nInterrupted; finished cells are kept, the others resume from their last checkpoint. "
        f"To resume: {f'torchrun ... -m {again}' if several() else again}"
    )
    return INTERRUPTED
