"""A thousand finished cells: how long it takes to see that nothing is to be done, and to rank them.

The runs are copies of a real one under the identities of the matrix's cells, written as runs are.
Run by name, on an otherwise idle machine: pytest -n 0 -s tests/benchmarks/test_large_matrix.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pflbench.experiments.grid import read_matrix
from pflbench.experiments.grid.survey import identified
from pflbench.results import Store
from pflbench.runs import RunRequest, execute, plan

FILE = """
methods = ["local", "fedavg", "fedavg-ft", "fedprox", { name = "fedora", top_k = [2, 3, 5] },
           { name = "pfedhn", local_lr = [0.01, 0.02, 0.05] }]
seeds = [0, 1, 2, 3, 4]

[scenario]
dataset = "npz:images.npz"
clients = 36
rounds = 100
eval_every = 10
local_steps = 1
batch_size = 16

[[scenarios]]
partition = ["dirichlet(alpha=0.1)", "dirichlet(alpha=0.5)", "dirichlet(alpha=1)", "iid"]
lr = [0.005, 0.01, 0.02, 0.05, 0.1]
"""
TABLES = ("metrics", "rounds", "messages", "participation", "partition", "clients")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a matrix of a thousand cells, its data, and all of its results."""
    made = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(6_000, 1, 28, 28), dtype=np.uint8)
    np.savez(made / "images.npz", x=images, y=np.arange(6_000) % 10)
    (made / "matrix.toml").write_text(FILE)
    cells = identified(read_matrix(made / "matrix.toml").requests(device="cpu"))
    assert len(cells) == 1_000
    request: RunRequest = next(iter(cells.values())).named.request
    real = execute(plan(request), None)
    tables = {name: getattr(real, name) for name in TABLES}
    store = Store(made / "results", create=True)
    environment = {"started": "2027-01-01T00:00:00+00:00", "device": "cpu", "engine": "stacked"}
    for found in cells.values():
        labels = {"dataset": found.dataset, "command": "pflbench run ...", "notice": ""}
        with store.open(found.cell.to_json(), labels, environment) as writer:
            writer.complete(tables, real.summary)
    return made


def seconds(folder: Path, *arguments: str) -> tuple[float, str]:
    """Run a command twice in processes of its own; return the shorter time, and what it said."""
    took, before = [], os.times()
    for _ in range(2):
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "pflbench", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        took.append(time.perf_counter() - began)
        assert done.returncode == 0, done.stderr
    after = os.times()
    cpu = sum(getattr(after, f) - getattr(before, f) for f in ("children_user", "children_system"))
    print(f"pflbench {' '.join(arguments)}: {min(took):.1f} s, of a processor {cpu / 2:.1f} s")
    return min(took), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "limit", "holds"),
    [
        (("run", "--matrix", "matrix.toml"), 5, lambda said: "1,000" in said),
        (
            ("run", "--matrix", "matrix.toml", "--dry-run"),
            8,
            lambda said: "1,000 cells: 1,000 done." in said,
        ),
        (("status", "--matrix", "matrix.toml"), 5, lambda said: "1,000 cells: 1,000 done." in said),
        (("status",), 5, lambda said: "1,000 cells: 1,000 done." in said),
        (("leaderboard",), 10, lambda said: said.count("Test accuracy (%)") == 20),
    ],
    ids=["run", "dry-run", "status-of-a-matrix", "status", "leaderboard"],
)
def test_a_thousand_finished_cells(
    arguments: tuple[str, ...], limit: float, holds: Callable[[str], bool], folder: Path
) -> None:
    took, said = seconds(folder, *arguments)
    assert holds(said)
    assert took < limit
