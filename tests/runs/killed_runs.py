"""Run a cell, kill it at random moments, take it up again, until it is complete.

Each attempt is a fork of this process, so that torch is imported once, and is killed with
SIGKILL, which nothing in it can catch.
Usage: killed_runs.py DATASET FOLDER METHODS... ; prints kills and resumptions as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch

import pflbench
from pflbench.results import Store
from pflbench.runs import Observer, RunInfo, execution

OPTIONS: dict[str, Any] = {
    "clients": 5, "partition": "dirichlet(alpha=0.5)", "rounds": 60, "eval_every": 12,
    "participation": 0.6, "local_epochs": 1, "batch_size": 16, "seed": 2, "device": "cpu",
    "model": "mlp(hidden=16)",
}  # fmt: skip

KILLS, ATTEMPTS = 4, 20
"""Kills that each method gets at least, and attempts in which it must have been taken up once."""


class Slow(Observer):
    """Notes where the run was taken up, and gives the killer time."""

    def __init__(self, notes: Path) -> None:
        self.notes = notes

    def started(self, info: RunInfo) -> None:
        with self.notes.open("a") as file:
            file.write(f"{info.start_round}\n")

    def round_done(self, progress: object) -> None:
        time.sleep(0.005)


def attempt(method: str, dataset: str, results: Path, notes: Path | None) -> int:
    """Fork; return the child's process number."""
    child = os.fork()
    if child:
        return child
    try:
        torch.set_num_threads(1)
        observers = [Slow(notes)] if notes else []
        pflbench.run(method, dataset, results=results, observers=observers, **OPTIONS)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def wait_for_a_start(child: int, notes: Path) -> int | None:
    """Wait until the child plays rounds; return its exit status if it ends instead."""
    before = notes.stat().st_size if notes.exists() else 0
    while not notes.exists() or notes.stat().st_size == before:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.002)
    return None


def main() -> None:
    """Do what the module says."""
    dataset, folder, *methods = sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]
    torch.set_num_threads(1)
    for method in methods:  # import here, once, whatever the attempts import on their way
        pflbench.run(method, dataset, results=folder / "warm", **{**OPTIONS, "rounds": 1})
    report: dict[str, Any] = {}
    rng = random.Random()
    for method in methods:
        execution.CHECKPOINT_SECONDS = 15.0
        whole = attempt(method, dataset, folder / "whole", None)
        if os.waitpid(whole, 0)[1]:
            raise SystemExit(f"the uninterrupted run of {method} failed")
        results, notes, kills = folder / "killed", folder / f"{method}.notes", 0
        execution.CHECKPOINT_SECONDS = 0.03
        for k in range(ATTEMPTS):
            resumed = notes.exists() and any(int(n) for n in notes.read_text().split())
            last = (kills >= KILLS and resumed) or k == ATTEMPTS - 1
            child = attempt(method, dataset, results, notes)
            status = None
            if not last:
                if k > 0:  # the first may be hit before it begins, the others play some rounds
                    status = wait_for_a_start(child, notes)
                time.sleep(rng.uniform(0.0, 0.2))
            if status is None:
                if not last:
                    os.kill(child, signal.SIGKILL)
                status = os.waitpid(child, 0)[1]
            if os.WIFSIGNALED(status):
                kills += 1
            elif status:
                raise SystemExit(f"{method} failed after {kills} kills")
            if results.exists() and any(r.status == "failed" for r in Store(results).runs()):
                raise SystemExit(f"a killed run of {method} counts as failed")
            if last:
                break
        report[method] = {"kills": kills, "starts": [int(n) for n in notes.read_text().split()]}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
