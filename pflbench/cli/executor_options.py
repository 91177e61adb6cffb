"""Options that say where cells run: in this process, in worker processes, on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click

from pflbench.cli.option_types import COUNT, Number, OneOf
from pflbench.errors import InputError

if TYPE_CHECKING:
    from pflbench.experiments.executors import Executor

F = TypeVar("F", bound=Callable[..., Any])

_RAY = {"address": "ray_address", "cpus": "cpus_per_cell", "gpus": "gpus_per_cell"}
"""Names of options of Ray's executor, and their names on the command line."""

PANEL = ["--jobs", "--executor", "--ray-address", "--cpus-per-cell", "--gpus-per-cell"]

_OPTIONS = (
    click.option(
        "--jobs",
        metavar="N",
        type=COUNT,
        help="Cells that run at a time, each in a worker process with its share of the cores; "
        "default: 1.",
    ),
    click.option(
        "--executor",
        type=OneOf(["auto", "here", "processes", "ray"]),
        metavar="auto|here|processes|ray",
        default="auto",
        show_default=True,
        help="Where cells run: in this process, in worker processes, on a Ray cluster; auto: here "
        "if there is one job, else in worker processes. The numbers are the same.",
    ),
    click.option(
        "--ray-address",
        metavar="HOST:PORT",
        help="Ray cluster to run on, or auto for the one that this machine belongs to; default: a "
        "Ray of this machine's cores, started and ended with the command.",
    ),
    click.option(
        "--cpus-per-cell",
        metavar="X",
        type=Number(gt=0),
        help="CPUs that Ray gives a cell, which computes with as many threads; default: 1.",
    ),
    click.option(
        "--gpus-per-cell",
        metavar="X",
        type=Number(ge=0),
        help="GPUs that Ray gives a cell, or a share of one; default: 0.",
    ),
)


def executor_options(command: F) -> F:
    """Add `--jobs`, `--executor` and Ray's options, in a separate panel."""
    panel = click.option_panel("Where cells run", options=PANEL)
    return reduce(lambda made, add: add(made), (*_OPTIONS[::-1], panel), command)


@dataclass(frozen=True)
class Where:
    """The options of a command line for where cells run."""

    executor: str
    jobs: int | None
    ray: Mapping[str, Any]

    def make(self) -> Executor:
        """Return the executor, not yet entered.

        Raises
        ------
        InputError
            It cannot run this number of jobs, or is not installed.
        """
        from pflbench.experiments.executors import make_executor  # it imports torch

        return make_executor(self.executor, self.jobs, **self.ray)

    def refuse_torchrun(self) -> None:
        """Refuse to run several cells at a time in processes that share each cell out."""
        asked = {"--jobs": (self.jobs or 1, 1), "--executor": (self.executor, "auto")}
        for option, (given, only) in asked.items():
            if given not in (only, "here"):
                raise InputError(
                    f"{option} {given} and torchrun exclude each other: its processes share one "
                    f"cell at a time. Leave out {option}, or run without torchrun."
                )


def take_where(options: dict[str, Any]) -> Where:
    """Take the options of `executor_options` out of a command's.

    Raises
    ------
    InputError
        They contradict each other.
    """
    taken = {argument: options.pop(option) for argument, option in _RAY.items()}
    ray = {argument: value for argument, value in taken.items() if value is not None}
    where = Where(options.pop("executor"), options.pop("jobs"), ray)
    if ray and where.executor != "ray":
        raise InputError(
            "--ray-address, --cpus-per-cell and --gpus-per-cell are Ray's: expected --executor ray "
            "with them."
        )
    return where
