"""Run cells as one of the processes that torchrun starts, through the Python interface.

Usage: shared_runs.py DATASET FOLDER CELLS; CELLS is JSON: a list of results folder, method and
options of `pflbench.run`. Writes FOLDER/told-RANK.json: what this process got.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pflbench
from pflbench.engine import Simulation
from pflbench.engine.process_group import Group
from pflbench.runs import RunRequest, joined, plan


def drift(dataset: str, group: Group) -> float:
    """Return how far this process's server is from a server that does not drift."""
    p = plan(RunRequest("drifts", dataset, clients=5, device="cpu"))
    simulation = Simulation(
        p.spec,
        p.parameters,
        p.federation,
        p.module,
        p.head,
        seed=0,
        optimiser=p.optimiser,
        budget=p.budget,
        group=group,
    )
    simulation.enrol()
    for r in range(10):
        simulation.round(r)
    moved: Any = simulation.server
    return float(moved.moved.abs().max())


def main() -> None:
    """Do what the module says."""
    dataset, folder, cells = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    with joined() as group:
        runs = []
        for results, method, options in cells:
            ran = pflbench.run(method, dataset, results=folder / results, group=group, **options)
            accuracy = ran.summary["test_accuracy"]
            runs.append([ran.run_id, accuracy, float(ran.metrics["loss"].sum())])
        told = {"runs": runs, "drift": drift(dataset, group)}
        (folder / f"told-{group.rank}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
