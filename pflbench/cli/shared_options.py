"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from pflbench.cli.option_types import Number, OneOf, PathText, complete

F = TypeVar("F", bound=Callable[..., Any])


def results_option(command: F) -> F:
    """Add `--results DIR`."""
    return click.option(
        "--results",
        metavar="DIR",
        type=PathText(),
        default=Path("results"),
        envvar="PFLBENCH_RESULTS",
        show_envvar=True,
        show_default=True,
        help="Where results are stored: one folder a run.",
    )(command)


def data_options(command: F) -> F:
    """Add `--data-dir DIR` and `--no-fallback`."""
    command = click.option(
        "--no-fallback",
        is_flag=True,
        help="Refuse the small copy that replaces a missing data set.",
    )(command)
    return click.option(
        "--data-dir",
        metavar="DIR",
        type=PathText(),
        envvar="PFLBENCH_DATA",
        show_envvar=True,
        help="Folder with data set files, in torchvision's layout.",
    )(command)


def device_option(command: F) -> F:
    """Add `--device`."""
    return click.option(
        "--device",
        metavar="NAME",
        default="auto",
        show_default=True,
        help="Where to train: auto, cpu, cuda, cuda:1, mps.",
    )(command)


def engine_option(command: F) -> F:
    """Add `--engine`."""
    return click.option(
        "--engine",
        type=OneOf(["auto", "stacked", "sequential"]),
        metavar="auto|stacked|sequential",
        default="auto",
        show_default=True,
        help="Train clients together, one after the other, or whichever is faster here; "
        "the numbers are the same.",
    )(command)


def target_option(command: F) -> F:
    """Add `--target X`."""
    return click.option(
        "--target",
        metavar="X",
        type=Number(gt=0, le=1),
        help="Validation accuracy to be reached, such as 0.9: what had been spent by then.",
    )(command)


def network_option(command: F) -> F:
    """Add `--network EXPR`."""
    return click.option(
        "--network",
        metavar="EXPR",
        help="Turn messages and steps into the time of a federation over lte, mobile-5g, "
        "broadband, lan, or link(down=50, up=10).",
    )(command)


def form_option(help: str = "How to write it.") -> Callable[[F], F]:
    """Return what adds `--format text|json`."""
    return click.option(
        "--format",
        "form",
        type=OneOf(["text", "json"]),
        default="text",
        show_default=True,
        help=help,
    )


def save_option(drawn: str) -> Callable[[F], F]:
    """Return a decorator that adds `--save FILE`, for a picture."""
    return click.option(
        "--save", metavar="FILE", type=PathText(folder=False), help=f"{drawn}: .png, .pdf or .svg."
    )


def stage_option(command: F) -> F:
    """Add `--stage`, which says what models of the methods are compared."""
    return click.option(
        "--stage",
        type=OneOf(["personal", "global"]),
        default="personal",
        show_default=True,
        help="Compare personal models, or the models of all clients that methods have besides "
        "them, or before adaptation; methods with one model stand with it.",
    )(command)


def boards_options(command: F) -> F:
    """Add `--scenario ID` and `--dataset NAME`, which choose among the boards of a folder."""
    command = click.option(
        "--dataset",
        "datasets",
        metavar="NAME",
        multiple=True,
        shell_complete=complete("datasets", several=True),
        help="Only scenarios with this data set. May be a list, or given several times.",
    )(command)
    return click.option(
        "--scenario",
        "scenarios",
        metavar="ID",
        multiple=True,
        help="Only this scenario: its id or its first digits. May be given several times.",
    )(command)
