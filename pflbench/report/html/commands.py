"""Commands that repeat several runs at once, made of those that repeat one each."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

_START = ["pflbench", "run"]
_MERGED = ("--algo", "--set", "--seed")


@dataclass
class _Job:
    """A command of one or several methods: what they share, and what is their own."""

    shared: tuple[tuple[str, str], ...]
    methods: dict[str, tuple[str, ...]]
    seeds: list[str]

    def written(self) -> str:
        words = [*_START, "--algo", ",".join(self.methods)]
        for option, value in self.shared:
            words += [option, value]
        for settings in self.methods.values():
            for setting in settings:
                words += ["--set", setting]
        return shlex.join([*words, "--seed", ",".join(self.seeds)])


def joined(commands: Iterable[str]) -> list[str]:
    """Write as few commands as run the same cells as those given.

    Runs that differ in the seed become one command; so do methods with the same seeds in one
    scenario, unless one has two sets of parameters. What is not such a command is kept as it is.
    """
    jobs: list[_Job] = []
    others: list[str] = []
    for command in dict.fromkeys(commands):
        job = _read(command)
        if job is None:
            others.append(command)
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


def _read(command: str) -> _Job | None:
    """Read a command of one method and one seed; None if it is another one."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    rest = words[2:]
    if words[:2] != _START or len(rest) % 2 or shlex.join(words) != command:
        return None
    pairs = list(zip(rest[::2], rest[1::2], strict=True))
    given = {name: [value for option, value in pairs if option == name] for name in _MERGED}
    if len(given["--algo"]) != 1 or len(given["--seed"]) != 1:
        return None
    if not all(option.startswith("--") for option, _ in pairs):
        return None
    shared = tuple(pair for pair in pairs if pair[0] not in _MERGED)
    return _Job(shared, {given["--algo"][0]: tuple(given["--set"])}, given["--seed"])
