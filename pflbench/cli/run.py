"""`pflbench run`: one cell, or a matrix of them."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import Any

import rich_click as click

from pflbench.cli.names import (
    COUNT,
    Number,
    PrecisionName,
    ShareOrRule,
    complete,
    complete_setting,
)
from pflbench.cli.options import data_options, engine_option, results_option
from pflbench.cli.session import INTERRUPTED, debug_option, warn
from pflbench.cli.together import processes, several

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
"""

_MATRIX = ["--algo", "--dataset", "--partition", "--seed", "--set"]
_SCENARIO = [
    "--clients", "--population", "--model", "--rounds", "--local-epochs", "--local-steps",
    "--batch-size", "--lr", "--momentum", "--weight-decay", "--participation", "--eval-every",
    "--precision", "--privacy",
]  # fmt: skip
_NEW_CLIENTS = ["--new-clients", "--onboard-at", "--shots", "--onboarding-steps"]
_MACHINE = ["--device", "--engine", "--chunk", "--data-dir", "--no-fallback"]
_RESULTS = ["--results", "--rerun", "--quiet", "--debug", "--help"]


class RunCommand(click.RichCommand):
    """A command that remembers its arguments, to print how to go on."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, keeping the arguments as typed."""
        ctx.meta["pflbench.arguments"] = list(args)
        return super().parse_args(ctx, args)


@click.command(cls=RunCommand, help=_HELP, short_help="Run a method or a matrix of methods.")
@click.option_panel("Matrix (each may be a list, or given several times)", options=_MATRIX)
@click.option_panel("Scenario (default: the data set's reference scenario)", options=_SCENARIO)
@click.option_panel("New clients", options=_NEW_CLIENTS)
@click.option_panel("Machine and data", options=_MACHINE)
@click.option_panel("Results and output", options=_RESULTS)
@click.option(
    "--algo", "algorithms", metavar="NAME", multiple=True, required=True,
    shell_complete=complete("algorithms", several=True),
    help="Method to run: see [cyan]pflbench list algorithms[/cyan].",
)  # fmt: skip
@click.option(
    "--dataset", "datasets", metavar="NAME", multiple=True, required=True,
    shell_complete=complete("datasets", several=True),
    help="Data set: a name, or name:PATH for your own data.",
)  # fmt: skip
@click.option(
    "--partition", "partitions", metavar="EXPR", multiple=True,
    shell_complete=complete("partitioners", several=True),
    help="How the data is given out to clients, such as dirichlet(alpha=0.1).",
)  # fmt: skip
@click.option(
    "--seed", "seeds", metavar="N", multiple=True, default=["0"], show_default=True,
    help="Seed of the split, the initial model and the sampling.",
)  # fmt: skip
@click.option(
    "--set", "settings", metavar="ALGO.PARAM=VALUE", multiple=True,
    shell_complete=complete_setting,
    help="Set a hyper-parameter: see [cyan]pflbench show ALGO[/cyan].",
)  # fmt: skip
@click.option("--clients", metavar="N", type=COUNT, help="Number of clients.")
@click.option(
    "--population", metavar="EXPR", shell_complete=complete("populations"),
    help="Clients unlike the others, such as permuted-labels(share=0.25).",
)  # fmt: skip
@click.option(
    "--model", metavar="EXPR", shell_complete=complete("models"), help="Network architecture."
)
@click.option("--rounds", metavar="N", type=COUNT, help="Communication rounds.")
@click.option(
    "--local-epochs", metavar="N", type=COUNT,
    help="Local training in a round: passes over a client's samples, or ...",
)  # fmt: skip
@click.option(
    "--local-steps", metavar="N", type=COUNT, help="... steps of one batch each; one of the two."
)
@click.option("--batch-size", metavar="N", type=COUNT, help="Samples in a local step.")
@click.option("--lr", metavar="X", type=Number(gt=0), help="Learning rate of local SGD.")
@click.option("--momentum", metavar="X", type=Number(ge=0, lt=1), help="Momentum of local SGD.")
@click.option("--weight-decay", metavar="X", type=Number(ge=0), help="Weight decay of local SGD.")
@click.option(
    "--participation", metavar="SHARE|EXPR", type=ShareOrRule(),
    shell_complete=complete("participations"),
    help="Share of the clients that train in a round, or a rule such as dropout(p=0.2).",
)  # fmt: skip
@click.option(
    "--eval-every", metavar="N", type=COUNT,
    help="Rounds between evaluations of the personal models.",
)  # fmt: skip
@click.option(
    "--precision", metavar="float32|bfloat16|float64", type=PrecisionName(), default="float32",
    show_default=True,
    help="What is computed with; bfloat16: the matrix products and convolutions alone.",
)  # fmt: skip
@click.option(
    "--privacy", metavar="EXPR",
    help="Clip all that clients upload and add noise, as in gaussian(clip=1, noise=1).",
)  # fmt: skip
@click.option(
    "--new-clients", metavar="SHARE", type=Number(ge=0, lt=1),
    help="Share of the clients that are held out, and join when training is over.",
)  # fmt: skip
@click.option(
    "--onboard-at", metavar="ROUNDS", help="Rounds after which they join as well, such as 10,50."
)
@click.option(
    "--shots", metavar="LIST",
    help="Labelled samples of each class that they join with, whole numbers or all; "
    "default: 1,5,all. They always join without labels, too.",
)  # fmt: skip
@click.option(
    "--onboarding-steps", metavar="N", type=COUNT,
    help="Local steps that each of them may do; default: 100.",
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
@results_option
@click.option(
    "--rerun", type=click.Choice(["missing", "always"]), default="missing", show_default=True,
    help="Run only what is missing, or everything again.",
)  # fmt: skip
@click.option("--quiet", is_flag=True, help="Show no progress, only the table at the end.")
@debug_option
@click.pass_context
def run(
    ctx: click.Context, /, *, results: Path, quiet: bool, no_fallback: bool, **options: Any
) -> int:
    """Plan every cell, run them one by one, print the table."""
    from pflbench.cli.screen import waiting

    with processes(ctx.obj, partial(_interrupted, ctx)) as group:
        with waiting("loading", show=not quiet):
            from pflbench.cli.matrix import make_requests

            requests = make_requests(fallback=not no_fallback, **options)
            # It imports torch: only now, after whatever can be refused without.
            from pflbench.cli.execution import check_all, run_all

        cells = check_all(requests, results, group)  # a download shows a bar of its own
        return run_all(cells, results, group, quiet=quiet, debug=ctx.obj.debug)


def _interrupted(ctx: click.Context) -> int:
    again = shlex.join(["pflbench", "run", *ctx.meta["pflbench.arguments"]])
    warn(
        "\nInterrupted; finished cells are kept, the others go on from their last checkpoint. "
        f"To go on: {f'torchrun ... -m {again}' if several() else again}"
    )
    return INTERRUPTED
