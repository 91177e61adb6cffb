"""A matrix of 24 small cells in two worker processes, against one cell after the other.

Both as commands, their start and their table at the end included, on the MNIST images that come
with a dependency. Run by name, on an otherwise idle machine:
pytest -n 0 -s tests/benchmarks/test_several_jobs.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pflbench.experiments.executors.worker_processes import cores
from pflbench.results import Store

MATRIX = (
    "run",
    "--dataset",
    "mnist",
    "--algo",
    "fedavg,fedprox",
    "--seed",
    "0,1,2,3,4,5,6,7,8,9,10,11",
    "--clients",
    "6",
    "--rounds",
    "500",
    "--eval-every",
    "50",
    "--device",
    "cpu",
    "--model",
    "mlp(hidden=16)",
)


def seconds(folder: Path, jobs: int) -> float:
    variables = ("OMP_NUM_THREADS", "PFLBENCH_DATA", "PFLBENCH_RESULTS")
    environment = {name: value for name, value in os.environ.items() if name not in variables}
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pflbench", *MATRIX, "--jobs", str(jobs), "--results", str(folder)],
        check=True,
        capture_output=True,
        env=environment,
    )
    return time.perf_counter() - began


@pytest.mark.skipif(cores() < 2, reason="needs two cores")
def test_two_jobs_take_at_most_six_tenths_of_the_time(tmp_path: Path) -> None:
    one, two = (seconds(tmp_path / str(jobs), jobs) for jobs in (1, 2))
    runs = Store(tmp_path / "1").runs()
    cell = sum(run.summary["seconds"] for run in runs) / len(runs)
    print(f"{one:.1f} s with one job ({cell:.1f} s a cell), {two:.1f} s with two: {two / one:.2f}")
    assert len(runs) == len(Store(tmp_path / "2").runs()) == 24
    assert two <= 0.6 * one
