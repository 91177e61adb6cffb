"""The same 24 small cells under Ray's two workers, against one cell after the other.

What Ray's start and end take is measured by cells of one round, and left out.
Run by name, on an otherwise idle machine: pytest -n 0 -s tests/benchmarks/test_ray_cells.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_several_jobs import MATRIX

from pflbench.experiments.executors.worker_processes import cores
from pflbench.results import Store

ON_RAY = ("--executor", "ray", "--jobs", "2")


def seconds(folder: Path, *options: str) -> float:
    variables = ("OMP_NUM_THREADS", "PFLBENCH_DATA", "PFLBENCH_RESULTS")
    environment = {name: value for name, value in os.environ.items() if name not in variables}
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pflbench", *MATRIX, *options, "--results", str(folder)],
        check=True,
        capture_output=True,
        env=environment,
    )
    return time.perf_counter() - began


@pytest.mark.skipif(cores() < 2, reason="needs two cores")
def test_two_workers_of_ray_take_at_most_six_tenths_of_the_time(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    # Of options that are given twice, the last one holds; seeds add up.
    tiny = ("--rounds", "1", "--local-steps", "1")
    start = seconds(tmp_path / "a", *tiny, *ON_RAY) - seconds(tmp_path / "b", *tiny)
    one, two = seconds(tmp_path / "1"), seconds(tmp_path / "2", *ON_RAY)
    print(
        f"{one:.1f} s with one job, {two:.1f} s under Ray, of which {start:.1f} s for its start "
        f"and end: {(two - start) / one:.2f}"
    )
    assert len(Store(tmp_path / "1").runs()) == len(Store(tmp_path / "2").runs()) == 24
    assert two - max(start, 0.0) <= 0.6 * one
