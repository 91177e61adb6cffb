"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

F = TypeVar("F", bound=Callable[..., Any])


def results_option(command: F) -> F:
    """Add `--results DIR`."""
    return click.option(
        "--results",
        metavar="DIR",
        type=click.Path(path_type=Path),
        default=Path("results"),
        envvar="PFLBENCH_RESULTS",
        show_envvar=True,
        show_default=True,
        help="Where results are kept: one folder a run.",
    )(command)


def data_options(command: F) -> F:
    """Add `--data-dir DIR` and `--no-fallback`."""
    command = click.option(
        "--no-fallback",
        is_flag=True,
        help="Refuse the small copy that stands in for a data set found nowhere else.",
    )(command)
    return click.option(
        "--data-dir",
        metavar="DIR",
        type=click.Path(path_type=Path),
        envvar="PFLBENCH_DATA",
        show_envvar=True,
        help="Folder with data set files, in torchvision's layout.",
    )(command)


def engine_option(command: F) -> F:
    """Add `--engine`."""
    return click.option(
        "--engine",
        type=click.Choice(["auto", "stacked", "sequential"]),
        metavar="auto|stacked|sequential",
        default="auto",
        show_default=True,
        help="Train clients together, one after the other, or whichever is faster here; "
        "the numbers are the same.",
    )(command)
