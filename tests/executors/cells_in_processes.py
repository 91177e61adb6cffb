"""Run cells in worker processes, and do to some of them what befalls processes.

Usage: cells_in_processes.py JOBS KILLS: in the results folder "results", cells of "npz:points.npz".
The workers of the first cell are killed with SIGKILL while they are at work, KILLS times in all.
Prints as JSON what was heard: `starts` [round of the cell's first round in each attempt],
`outcomes` {title: [status, message]}, `notices`.
Workers import this file too, as multiprocessing lets them: so the checkpoints are theirs.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from pflbench.experiments.executors import Outcome, Watch, Work, make_executor, run_cells
from pflbench.runs import Observer, Progress, RunInfo, RunRequest, execution, plan

if __name__ != "cells_in_processes":  # but as a script, and in the workers of one
    execution.CHECKPOINT_SECONDS = execution.CHECKPOINT_COST = 0.0001  # after nearly every round

RESULTS = Path("results")

METHODS = ("fedora", "local", "fedavg")

SCENARIO = {
    "clients": 5,
    "partition": "dirichlet(alpha=0.5)",
    "rounds": 40,
    "eval_every": 10,
    "participation": 0.6,
    "local_epochs": 1,
    "batch_size": 16,
    "seed": 2,
    "device": "cpu",
    "model": "mlp(hidden=16)",
}


def works(results: Path) -> list[Work]:
    """Return the cells, the one whose workers are killed first."""
    requests = [RunRequest(method, "npz:points.npz", **SCENARIO) for method in METHODS]
    return [Work(plan(r).cell.id, r, results, r.algorithm) for r in requests]


class Killer(Watch, Observer):
    """Kills the worker of one cell while it is at work."""

    def __init__(self, victim: Work, kills: int) -> None:
        self.victim, self.kills = victim, kills
        self.starts: list[int] = []
        self.notices: list[str] = []
        self.outcomes: dict[str, tuple[str, str]] = {}

    def observers(self, work: Work) -> Sequence[Observer]:
        return [self] if work is self.victim else []

    def started(self, info: RunInfo) -> None:
        self.starts.append(info.start_round)

    def round_done(self, progress: Progress) -> None:
        if len(self.starts) <= self.kills and progress.round > self.starts[-1] + 1:
            holder = RESULTS / ".locks" / f"{self.victim.run_id}.holder"
            os.kill(json.loads(holder.read_text())["pid"], signal.SIGKILL)

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def ended(self, work: Work, outcome: Outcome) -> None:
        self.outcomes[work.title] = outcome.status, outcome.message


def main(jobs: int, kills: int) -> None:
    cells = works(RESULTS)
    killer = Killer(cells[0], kills)
    with make_executor("processes", jobs) as executor:
        run_cells(cells, executor, killer)
    heard = {"starts": killer.starts, "notices": killer.notices, "outcomes": killer.outcomes}
    print(json.dumps(heard))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
