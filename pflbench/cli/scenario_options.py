"""Options of a scenario: the same for every command on a matrix."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click
from click.core import ParameterSource

from pflbench.cli.option_types import (
    FieldChoice,
    Number,
    NumberOrRule,
    PathText,
    complete,
    complete_setting,
)
from pflbench.errors import InputError
from pflbench.schema.scenario_fields import (
    MATRIX,
    NEW_CLIENTS,
    SCENARIO,
    ScenarioField,
    scenario_fields,
)

if TYPE_CHECKING:
    from pflbench.experiments.grid import Matrix

F = TypeVar("F", bound=Callable[..., Any])

_FIELDS = scenario_fields()
_MATRIX_FILE = "matrix_file"
_LISTS = ("algorithms", "seeds", "settings")
_NAMES = (_MATRIX_FILE, *_LISTS, *_FIELDS)
"""The options by the names that a command's function has for them."""


def field_option(field: ScenarioField, **own: Any) -> Callable[[F], F]:
    """Return what adds the option of a scenario's field; `own` replaces settings of click's."""
    kind: FieldChoice | NumberOrRule | Number | type[bool] | None = None
    if field.type == "bool":
        kind = bool
    elif field.choices:
        kind = FieldChoice(field)
    elif field.type == "float or str":
        kind = NumberOrRule(Number(**field.limits))
    elif field.type != "str":
        kind = Number(**field.limits, whole=field.type == "int")
    several = own.get("multiple", field.several)
    settings: dict[str, Any] = {
        "metavar": field.metavar,
        "type": kind,
        "multiple": several,
        "default": field.default,
        "show_default": field.default is not None,
        "shell_complete": complete(field.shelf, several=several) if field.shelf else None,
        "help": field.sentence(),
    }
    return click.option(field.option, **{**settings, **own})


def _of_panel(panel: str) -> list[str]:
    return [field.option for field in _FIELDS.values() if field.panel == panel]


_MATRIX = ["--algo", *_of_panel(MATRIX), "--seed", "--set", "--matrix"]

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
    *map(field_option, _FIELDS.values()),
)


def cells_options(*more: str) -> Callable[[F], F]:
    """Return a decorator that adds the options that select cells, `more` in their panel.

    They are `--matrix`, or methods, data sets, seeds, and all fields of a scenario.
    """
    panels = (
        click.option_panel(
            "Matrix (each may be a list, or given several times)", options=[*_MATRIX, *more]
        ),
        click.option_panel(
            "Scenario (default: the data set's reference scenario)", options=_of_panel(SCENARIO)
        ),
        click.option_panel(NEW_CLIENTS, options=_of_panel(NEW_CLIENTS)),
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
        They are empty, contradict each other, or are not valid.
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
            f"--matrix {path} already selects the cells, so {others[0]} cannot be given with it: "
            "write it into the file, or leave one of them out."
        )
    return read_matrix(path)


def _given(ctx: click.Context) -> list[str]:
    """Return the options that are given on this command line."""
    return [
        param.opts[0]
        for param in ctx.command.params
        if param.name in _NAMES
        and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE
    ]
