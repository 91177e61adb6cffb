"""Commands that repeat several runs together, made from the commands of single runs."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from pflbench.schema.expressions import format_scalar
from pflbench.schema.parameters import Scalar

_START = "pflbench run --algo "


class Repeatable(Protocol):
    """A row of a board, as far as its commands go."""

    @property
    def algorithm(self) -> str:
        """The method."""

    @property
    def parameters(self) -> Mapping[str, Scalar]:
        """Its parameters."""

    @property
    def commands(self) -> Mapping[int, str]:
        """The command of a run, by seed."""


@dataclass
class _Job:
    """A command of one or several methods: common and own options."""

    shared: str
    methods: dict[str, str]
    seeds: list[int]

    def written(self) -> str:
        settings = "".join(self.methods.values())
        seeds = ",".join(map(str, self.seeds))
        return f"{_START}{','.join(self.methods)}{self.shared}{settings} --seed {seeds}"


<<<<<<< HEAD
def joined(rows: Iterable[Repeatable]) -> list[str]:
    """Write as few commands as run the same cells as those of the rows.

    Runs that differ in the seed become one command; so do methods with the same seeds in one
    scenario, unless one has two sets of parameters. A command that is not as its row says is kept
    as it is.
=======
def joined(commands: Iterable[str]) -> list[str]:
    """Combine commands into as few as possible that run the same cells.

    Runs that differ in the seed become one command; so do methods with the same seeds in one
    scenario, unless one has two sets of parameters. Other commands are kept unchanged.
>>>>>>> 3ef5e36 (words: plain English in analysis and reports)
    """
    jobs: list[_Job] = []
    others: dict[str, None] = {}
    for row in rows:
        for seed, command in row.commands.items():
            job = _job(row, seed, command)
            if job is None:
                others[command] = None
                continue
            for known in jobs:
                if (known.shared, known.methods) == (job.shared, job.methods):
                    known.seeds += [seed for seed in job.seeds if seed not in known.seeds]
                    break
            else:
                jobs.append(job)
    merged: list[_Job] = []
    for job in jobs:
        for known in merged:
            same = known.shared == job.shared and sorted(known.seeds) == sorted(job.seeds)
            if same and not known.methods.keys() & job.methods.keys():
                known.methods |= job.methods
                break
        else:
            merged.append(job)
    return [*(job.written() for job in merged), *others]


<<<<<<< HEAD
def _job(row: Repeatable, seed: int, command: str) -> _Job | None:
    """Take out of a run's command what its row knows; None if that is not in it."""
    start, settings = f"{_START}{row.algorithm}", ""
    for name, value in row.parameters.items():
        setting = f"{row.algorithm}.{name}={format_scalar(value)}"
        settings += f" --set {shlex.quote(setting)}"
    end = f"{settings} --seed {seed}"
    if not (command.startswith(f"{start} --") and command.endswith(end)):
=======
def _read(command: str) -> _Job | None:
    """Read a command of one method and one seed; None for any other command."""
    try:
        words = shlex.split(command)
    except ValueError:
>>>>>>> 3ef5e36 (words: plain English in analysis and reports)
        return None
    shared = command[len(start) : -len(end)]
    return None if " --set " in shared else _Job(shared, {row.algorithm: settings}, [seed])
