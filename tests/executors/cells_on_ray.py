"""Run cells on a Ray cluster of two nodes of this machine, and do to it what befalls clusters.

Usage: cells_on_ray.py FOLDER: Ray's files go to FOLDER; in the results folder "results" of the
working directory, cells of "npz:points.npz". While LOST are at work, one on each node, one of the
nodes is killed; then the workers of the cell DOOMED are, each time.
Prints as JSON what was heard: `starts` {method: [round of the first round in each attempt]},
`outcomes` {method: [status, message]}, `notices`, `refused`: why cells of 64 CPUs were not begun,
and `alive`: whether the cluster is still there when the executor is gone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from pflbench.errors import InputError
from pflbench.experiments.executors import Outcome, Watch, Work, make_executor, run_cells
from pflbench.runs import Observer, Progress, RunInfo, RunRequest, plan

RESULTS = Path("results")

LOST, DOOMED = ("fedora", "local"), "fedavg"

SCENARIO = {
    "clients": 5,
    "partition": "dirichlet(alpha=0.5)",
    "rounds": 400,
    "eval_every": 100,
    "participation": 0.6,
    "local_epochs": 1,
    "batch_size": 16,
    "seed": 2,
    "device": "cpu",
    "model": "mlp(hidden=16)",
}


def works(results: Path, *methods: str) -> list[Work]:
    """Return cells."""
    requests = [RunRequest(method, "npz:points.npz", **SCENARIO) for method in methods]
    return [Work(plan(r).cell.id, r, results, r.algorithm) for r in requests]


class Misfortune(Watch):
    """Kills a node, and workers."""

    def __init__(self, cluster: Any, node: Any) -> None:
        self.cluster, self.node = cluster, node
        self.starts: dict[str, list[int]] = {method: [] for method in (*LOST, DOOMED)}
        self.notices: list[str] = []
        self.outcomes: dict[str, tuple[str, str]] = {}

    def observers(self, work: Work) -> Sequence[Observer]:
        return [_Cell(self, work)]

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def ended(self, work: Work, outcome: Outcome) -> None:
        self.outcomes[work.title] = outcome.status, outcome.message

    def strike(self, work: Work) -> None:
        """Kill who is at work on a cell, if that is to happen to it."""
        with suppress(OSError, psutil.Error):  # it has ended meanwhile
            holder = RESULTS / ".locks" / f"{work.run_id}.holder"
            worker = psutil.Process(json.loads(holder.read_text())["pid"])
            if work.title == DOOMED:
                worker.send_signal(signal.SIGKILL)
            elif self.node is not None:
                raylet = self.node.all_processes["raylet"][0].process.pid
                if raylet in [parent.pid for parent in worker.parents()]:
                    self.cluster.remove_node(self.node, allow_graceful=False)
                    self.node = None


class _Cell(Observer):
    """Hears of a cell."""

    def __init__(self, all_cells: Misfortune, work: Work) -> None:
        self.all_cells, self.work = all_cells, work

    def started(self, info: RunInfo) -> None:
        self.all_cells.starts[self.work.title].append(info.start_round)

    def round_done(self, progress: Progress) -> None:
        if self.all_cells.starts[self.work.title][-1] + 1 < progress.round < progress.rounds:
            self.all_cells.strike(self.work)


def main(folder: str) -> None:
    os.environ.update(RAY_TMPDIR=folder, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0" * 64)
    # Imports Ray, as quiet as the executor has it; nothing of Ray is started.
    make_executor("ray")
    from ray.cluster_utils import Cluster

    small: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    if sys.platform == "linux":  # where all of 127.x.x.x is this machine
        addresses = [{"node_ip_address": f"127.0.0.{number}"} for number in (2, 3)]
    else:
        addresses = [{}, {}]
    soon = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000}
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            **small,
            **addresses[0],
            "include_dashboard": False,
            "_system_config": soon,
        },
    )
    try:
        node = cluster.add_node(**small, **addresses[1])
        misfortune = Misfortune(cluster, node)
        refused = ""
        try:
            with make_executor("ray", address=cluster.address, cpus=64) as executor:
                run_cells(works(RESULTS, *LOST), executor)
        except InputError as error:
            refused = str(error)
        with make_executor("ray", address=cluster.address) as executor:
            run_cells(works(RESULTS, *LOST), executor, misfortune)
            run_cells(works(RESULTS, DOOMED), executor, misfortune)
        head = cluster.head_node.all_processes["raylet"][0].process
        heard = {
            "starts": misfortune.starts,
            "notices": misfortune.notices,
            "outcomes": misfortune.outcomes,
            "refused": refused,
            "alive": head.poll() is None,
        }
    finally:
        cluster.shutdown()
    print(json.dumps(heard))


if __name__ == "__main__":
    main(sys.argv[1])
