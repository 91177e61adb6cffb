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
    """The commands of a row of a board."""

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


def joined(rows: Iterable[Repeatable]) -> list[str]:
    """Combine the commands of rows into as few as possible that run the same cells.

    Runs that differ in the seed become one command; so do methods with the same seeds in one
    scenario, unless one has two sets of parameters. A command that differs from its row is kept
    unchanged.
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


def _job(row: Repeatable, seed: int, command: str) -> _Job | None:
    """Split a run's command by its row's settings; None if they are not in it."""
    start, settings = f"{_START}{row.algorithm}", ""
    for name, value in row.parameters.items():
        setting = f"{row.algorithm}.{name}={format_scalar(value)}"
        settings += f" --set {shlex.quote(setting)}"
    end = f"{settings} --seed {seed}"
    if not (command.startswith(f"{start} --") and command.endswith(end)):
        return None
    shared = command[len(start) : -len(end)]
    return None if " --set " in shared else _Job(shared, {row.algorithm: settings}, [seed])
