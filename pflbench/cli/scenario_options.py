"""Options that say what is run: the same for every command that looks at a matrix."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click
from click.core import ParameterSource

from pflbench.cli.option_types import (
    COUNT,
    Number,
    PathText,
    PrecisionName,
    ShareOrRule,
    complete,
    complete_setting,
)
from pflbench.errors import InputError

if TYPE_CHECKING:
    from pflbench.experiments.grid import Matrix

F = TypeVar("F", bound=Callable[..., Any])

_MATRIX = ["--algo", "--dataset", "--partition", "--seed", "--set", "--matrix"]
_SCENARIO = [
    "--clients",
    "--population",
    "--model",
    "--rounds",
    "--local-epochs",
    "--local-steps",
    "--batch-size",
    "--lr",
    "--momentum",
    "--weight-decay",
    "--participation",
    "--eval-every",
    "--precision",
    "--privacy",
]
_NEW_CLIENTS = ["--new-clients", "--onboard-at", "--shots", "--onboarding-steps"]

_MATRIX_FILE = "matrix_file"
_LISTS = ("algorithms", "datasets", "partitions", "seeds", "settings")
_NAMES = (
    _MATRIX_FILE,
    *_LISTS,
    *(option[2:].replace("-", "_") for option in (*_SCENARIO, *_NEW_CLIENTS)),
)
"""The options by the names that a command's function has for them."""

_OPTIONS = (
    click.option(
        "--matrix",
        _MATRIX_FILE,
        metavar="FILE",
        type=PathText(folder=False),
        help="Methods, scenarios and seeds from a TOML file, instead of the options for them.",
    ),
    click.option(
        "--algo",
        "algorithms",
        metavar="NAME",
        multiple=True,
        shell_complete=complete("algorithms", several=True),
        help="Method to run: see [cyan]pflbench list algorithms[/cyan].",
    ),
    click.option(
        "--dataset",
        "datasets",
        metavar="NAME",
        multiple=True,
        shell_complete=complete("datasets", several=True),
        help="Data set: a name, or name:PATH for your own data.",
    ),
    click.option(
        "--partition",
        "partitions",
        metavar="EXPR",
        multiple=True,
        shell_complete=complete("partitioners", several=True),
        help="How the data is given out to clients, such as dirichlet(alpha=0.1).",
    ),
    click.option(
        "--seed",
        "seeds",
        metavar="N",
        multiple=True,
        default=["0"],
        show_default=True,
        help="Seed of the split, the initial model and the sampling.",
    ),
    click.option(
        "--set",
        "settings",
        metavar="ALGO.PARAM=VALUE",
        multiple=True,
        shell_complete=complete_setting,
        help="Set a hyper-parameter: see [cyan]pflbench show ALGO[/cyan].",
    ),
    click.option("--clients", metavar="N", type=COUNT, help="Number of clients."),
    click.option(
        "--population",
        metavar="EXPR",
        shell_complete=complete("populations"),
        help="Clients unlike the others, such as permuted-labels(share=0.25).",
    ),
    click.option(
        "--model", metavar="EXPR", shell_complete=complete("models"), help="Network architecture."
    ),
    click.option("--rounds", metavar="N", type=COUNT, help="Communication rounds."),
    click.option(
        "--local-epochs",
        metavar="N",
        type=COUNT,
        help="Local training in a round: passes over a client's samples, or ...",
    ),
    click.option(
        "--local-steps",
        metavar="N",
        type=COUNT,
        help="... steps of one batch each; one of the two.",
    ),
    click.option("--batch-size", metavar="N", type=COUNT, help="Samples in a local step."),
    click.option("--lr", metavar="X", type=Number(gt=0), help="Learning rate of local SGD."),
    click.option("--momentum", metavar="X", type=Number(ge=0, lt=1), help="Momentum of local SGD."),
    click.option(
        "--weight-decay", metavar="X", type=Number(ge=0), help="Weight decay of local SGD."
    ),
    click.option(
        "--participation",
        metavar="SHARE|EXPR",
        type=ShareOrRule(),
        shell_complete=complete("participations"),
        help="Share of the clients that train in a round, or a rule such as dropout(p=0.2).",
    ),
    click.option(
        "--eval-every",
        metavar="N",
        type=COUNT,
        help="Rounds between evaluations of the personal models.",
    ),
    click.option(
        "--precision",
        metavar="float32|bfloat16|float64",
        type=PrecisionName(),
        default="float32",
        show_default=True,
        help="What is computed with; bfloat16: the matrix products and convolutions alone.",
    ),
    click.option(
        "--privacy",
        metavar="EXPR",
        help="Clip all that clients upload and add noise, as in gaussian(clip=1, noise=1).",
    ),
    click.option(
        "--new-clients",
        metavar="SHARE",
        type=Number(ge=0, lt=1),
        help="Share of the clients that are held out, and join when training is over.",
    ),
    click.option(
        "--onboard-at",
        metavar="ROUNDS",
        help="Rounds after which they join as well, such as 10,50.",
    ),
    click.option(
        "--shots",
        metavar="LIST",
        help="Labelled samples of each class that they join with, whole numbers or all; "
        "default: 1,5,all. They always join without labels, too.",
    ),
    click.option(
        "--onboarding-steps",
        metavar="N",
        type=COUNT,
        help="Local steps that each of them may do; default: 100.",
    ),
)


def cells_options(*more: str) -> Callable[[F], F]:
    """Return what adds the options that say which cells are meant, `more` in their panel.

    They are `--matrix`, or methods, data sets, seeds, and all that a scenario has.
    """
    panels = (
        click.option_panel(
            "Matrix (each may be a list, or given several times)", options=[*_MATRIX, *more]
        ),
        click.option_panel(
            "Scenario (default: the data set's reference scenario)", options=_SCENARIO
        ),
        click.option_panel("New clients", options=_NEW_CLIENTS),
    )
    return lambda command: reduce(lambda made, add: add(made), [*_OPTIONS, *panels][::-1], command)


def asks(ctx: click.Context) -> bool:
    """Whether any option says which cells are meant."""
    return bool(_given(ctx))


def take_matrix(ctx: click.Context, options: dict[str, Any]) -> Matrix:
    """Take the options of `cells_options` out of a command's options; return their matrix.

    Raises
    ------
    InputError
        They say nothing, or contradict each other, or something in them is not valid.
    """
    from pflbench.cli.grid_options import make_matrix
    from pflbench.experiments.grid import read_matrix

    given = _given(ctx)
    taken = {name: options.pop(name) for name in _NAMES}
    path: Path | None = taken.pop(_MATRIX_FILE)
    if path is None:
        for option in ("--algo", "--dataset"):
            if option not in given:
                raise click.UsageError(
                    f"Missing option '{option}': expected --algo and --dataset, or --matrix FILE."
                )
        return make_matrix(**taken)
    others = [option for option in given if option != "--matrix"]
    if others:
        raise InputError(
            f"--matrix {path} says what is run, and {others[0]} is given beside it: write it "
            "into the file, or leave one of them out."
        )
    return read_matrix(path)


def _given(ctx: click.Context) -> list[str]:
    """Return those of the options that are given on this command line."""
    return [
        param.opts[0]
        for param in ctx.command.params
        if param.name in _NAMES
        and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE
    ]
