"""Cells on a Ray cluster of two nodes: what befalls workers and machines loses no cell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from cells_on_ray import DOOMED, LOST, works
from other_processes import PATIENCE
from sessions import assert_same

from pflbench.experiments.executors import Here, run_cells
from pflbench.results import Store

HERE = Path(__file__).parent


@pytest.mark.slow
def test_a_killed_node_loses_no_cell_and_a_worker_that_always_dies_is_a_failed_one(
    folder: Path, data: str, one_thread: None
) -> None:
    pytest.importorskip("ray")
    paths = os.pathsep.join([str(HERE / "frequent_checkpoints"), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as short:
        done = subprocess.run(
            [sys.executable, str(HERE / "cells_on_ray.py"), short],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
        )
        left = [p for p in psutil.process_iter() if any(short in word for word in _command(p))]
    assert done.returncode == 0, done.stderr
    assert left == []
    heard = json.loads(done.stdout)
    assert heard["alive"]  # a cluster is left as it was found
    assert heard["refused"].startswith("Each cell needs 64 CPUs and 0 GPUs. The largest")

    assert [heard["outcomes"][method] for method in LOST] == [["complete", ""]] * 2
    moved = [method for method in LOST if len(heard["starts"][method]) > 1]
    assert len(moved) == 1
    assert heard["starts"][moved[0]][0] == 0 < heard["starts"][moved[0]][1]
    here = works(folder / "here", *LOST)
    run_cells(here, Here())
    for work in here:
        on_ray, whole = (Store(folder / name).get(work.run_id) for name in ("results", "here"))
        assert on_ray is not None
        assert whole is not None
        assert_same(on_ray, whole)

    reason = "The worker process died, killed or crashed, 3 times."
    assert heard["outcomes"][DOOMED] == ["failed", reason]
    first, second, third = heard["starts"][DOOMED]
    assert first == 0 < second < third
    (doomed,) = (run for run in Store(folder / "results").runs() if run.status == "failed")
    assert (doomed.cell["algorithm"]["name"], doomed.failure["message"]) == (DOOMED, reason)
    how = [(moved[0], "with its machine", 2)]
    how += [(DOOMED, "killed or crashed", attempt) for attempt in (2, 3)]
    assert heard["notices"] == [
        f"The worker process of {method} died, {what}: it resumes from its last checkpoint, "
        f"attempt {attempt} of 3."
        for method, what, attempt in how
    ]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
