"""`pflbench run`: one cell, or a matrix of them."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import Any

import rich_click as click

from pflbench.cli.cells import cells_options, take_matrix
from pflbench.cli.names import COUNT, Number
from pflbench.cli.options import data_options, engine_option, results_option
from pflbench.cli.session import INTERRUPTED, debug_option, warn
from pflbench.cli.together import processes, several
from pflbench.errors import InputError

_HELP = """Run a method, or a matrix of methods, data sets, partitions and seeds.

Without further options, a data set's reference scenario is run. Cells whose results are there
already are not run again, and a run that was interrupted goes on where it stopped.

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
_EXECUTION = ["--jobs", "--executor", "--ray-address", "--cpus-per-cell", "--gpus-per-cell"]
_RESULTS = ["--results", "--rerun", "--dry-run", "--quiet", "--debug", "--help"]


class RunCommand(click.RichCommand):
    """A command that remembers its arguments, to print how to go on."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, keeping the arguments as typed."""
        ctx.meta["pflbench.arguments"] = list(args)
        return super().parse_args(ctx, args)


@click.command(cls=RunCommand, help=_HELP, short_help="Run a method or a matrix of methods.")
@cells_options("--shard")
@click.option_panel("Machine and data", options=_MACHINE)
@click.option_panel("Where cells run", options=_EXECUTION)
@click.option_panel("Results and output", options=_RESULTS)
@click.option(
    "--shard", metavar="I/N",
    help="Run part I of N of the cells only: all parts together run each cell once.",
)  # fmt: skip
@click.option(
    "--device", metavar="NAME", default="auto", show_default=True,
    help="Where to train: auto, cpu, cuda, cuda:1, mps.",
)  # fmt: skip
@engine_option
@click.option(
    "--chunk", metavar="N", type=COUNT,
    help="Clients that the stacked engine trains together at most; the numbers are the same. "
    "Default: by the model's size.",
)  # fmt: skip
@data_options
@click.option(
    "--jobs", metavar="N", type=COUNT,
    help="Cells that run at a time, each in a worker process with its share of the cores; "
    "default: 1.",
)  # fmt: skip
@click.option(
    "--executor", type=click.Choice(["auto", "here", "processes", "ray"]),
    metavar="auto|here|processes|ray", default="auto", show_default=True,
    help="Where cells run: in this process, in worker processes, on a Ray cluster; auto: here "
    "if there is one job, else in worker processes. The numbers are the same.",
)  # fmt: skip
@click.option(
    "--ray-address", metavar="HOST:PORT",
    help="Ray cluster to run on, or auto for the one that this machine belongs to; default: a "
    "Ray of this machine's cores, started and ended with the command.",
)  # fmt: skip
@click.option(
    "--cpus-per-cell", metavar="X", type=Number(gt=0),
    help="CPUs that Ray gives a cell, which computes with as many threads; default: 1.",
)  # fmt: skip
@click.option(
    "--gpus-per-cell", metavar="X", type=Number(ge=0),
    help="GPUs that Ray gives a cell, or a share of one; default: 0.",
)  # fmt: skip
@results_option
@click.option(
    "--rerun", type=click.Choice(["missing", "always"]), default="missing", show_default=True,
    help="Run only what is missing, or everything again.",
)  # fmt: skip
@click.option(
    "--dry-run", is_flag=True,
    help="Print the cells, what is done, and what the others will take; run and write nothing.",
)  # fmt: skip
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
    jobs: int | None,
    executor: str,
    shard: str | None,
    dry_run: bool,
    **options: Any,
) -> int:
    """Plan every cell, run them, print the table."""
    from pflbench.cli.screen import waiting

    ray = _ray_options(executor, options)
    with processes(ctx.obj, partial(_interrupted, ctx)) as group:
        with waiting("loading", show=not quiet):
            from pflbench.matrix.sharding import Shard

            matrix = take_matrix(ctx, options)
            part = None if shard is None else Shard.read(shard)
            requests = matrix.requests(fallback=not no_fallback, **options)
            # It imports torch: only now, after whatever can be refused without.
            from pflbench.cli.execution import check_all, run_all, run_together
            from pflbench.matrix.survey import share_of

        if part is not None:
            requests = share_of(requests, part)
        if dry_run:
            from pflbench.cli.standing import rehearse

            rehearse(requests, results)
            return 0
        # Checking may download data, which shows a bar of its own.
        how = {"quiet": quiet, "debug": ctx.obj.debug}
        if group is not None:
            _refuse_jobs(jobs, executor)
            return run_together(check_all(requests, results, group), results, group, **how)
        from pflbench.executors import make_executor

        with make_executor(executor, jobs, **ray) as where:  # workers get ready meanwhile
            return run_all(check_all(requests, results), results, where, **how)


def _ray_options(executor: str, options: dict[str, Any]) -> dict[str, Any]:
    """Take what is said of Ray out of the options: arguments of its executor."""
    names = {"ray_address": "address", "cpus_per_cell": "cpus", "gpus_per_cell": "gpus"}
    taken = {argument: options.pop(name) for name, argument in names.items()}
    given = {argument: value for argument, value in taken.items() if value is not None}
    if given and executor != "ray":
        raise InputError(
            "--ray-address, --cpus-per-cell and --gpus-per-cell are Ray's: expected --executor ray "
            "with them."
        )
    return given


def _refuse_jobs(jobs: int | None, executor: str) -> None:
    """Refuse to run several cells at a time in processes that share each cell out."""
    for option, given, only in (("--jobs", jobs or 1, 1), ("--executor", executor, "auto")):
        if given not in (only, "here"):
            raise InputError(
                f"{option} {given} and torchrun exclude each other: its processes share one cell "
                f"at a time. Leave out {option}, or run without torchrun."
            )


def _interrupted(ctx: click.Context) -> int:
    again = shlex.join(["pflbench", "run", *ctx.meta["pflbench.arguments"]])
    warn(
        "\nInterrupted; finished cells are kept, the others go on from their last checkpoint. "
        f"To go on: {f'torchrun ... -m {again}' if several() else again}"
    )
    return INTERRUPTED
