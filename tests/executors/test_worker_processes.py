"""Cells in worker processes: the same numbers, and none lost with a worker that dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cells_in_processes import METHODS, works
from other_processes import PATIENCE, own_words
from sessions import assert_same

from pflbench.errors import InputError
from pflbench.experiments.executors import Here, make_executor, run_cells
from pflbench.results import Store
from pflbench.runs import PlannedRun, Result, execute


def in_processes(folder: Path, jobs: int, kills: int) -> dict[str, Any]:
    script = Path(__file__).with_name("cells_in_processes.py")
    done = subprocess.run(
        [sys.executable, str(script), str(jobs), str(kills)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert own_words(done.stderr) == ""
    heard: dict[str, Any] = json.loads(done.stdout)
    return heard


@pytest.mark.slow
def test_a_killed_worker_loses_no_cell_and_changes_no_number(
    one_thread: None, folder: Path, data: str
) -> None:
    heard = in_processes(folder, jobs=2, kills=2)
    assert heard["outcomes"] == {method: ["complete", ""] for method in METHODS}
    first, second, third = heard["starts"]
    assert first == 0
    assert 0 < second < third
    assert heard["notices"] == [
        f"The worker process of fedora died, signal 9: it resumes from its last checkpoint, "
        f"attempt {attempt} of 3."
        for attempt in (2, 3)
    ]
    here = works(folder / "here")
    outcomes = run_cells(here, Here())
    assert {outcome.status for outcome in outcomes.values()} == {"complete"}
    for work in here:
        killed, whole = (Store(folder / name).get(work.run_id) for name in ("results", "here"))
        assert killed is not None
        assert whole is not None
        assert_same(killed, whole)


@pytest.mark.slow
def test_a_cell_whose_workers_all_die_fails_with_the_reason(folder: Path, data: str) -> None:
    heard = in_processes(folder, jobs=1, kills=3)
    reason = "The worker process died, signal 9, 3 times."
    assert heard["outcomes"]["fedora"] == ["failed", reason]
    assert heard["outcomes"]["local"] == heard["outcomes"]["fedavg"] == ["complete", ""]
    runs = {run.cell["algorithm"]["name"]: run for run in Store(folder / "results").runs()}
    assert {name: run.status for name, run in runs.items()} == {
        "fedora": "failed",
        "local": "complete",
        "fedavg": "complete",
    }
    assert runs["fedora"].failure["message"] == reason


def test_a_cell_that_would_end_its_process_stops_no_other(
    one_thread: None, folder: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ending(planned: PlannedRun, *rest: Any) -> Result:
        if planned.spec.name == "fedora":  # the first of them
            sys.exit(0)
        return execute(planned, *rest)

    monkeypatch.setattr("pflbench.runs.execute", ending)
    cells = works(folder / "here")
    outcomes = [*run_cells(cells, Here()).values()]
    assert [outcome.status for outcome in outcomes] == ["failed", "complete", "complete"]
    assert "SystemExit" in outcomes[0].message


def test_no_such_executor() -> None:
    with pytest.raises(InputError, match=r"no executor 'proceses'.* Did you mean 'processes'"):
        make_executor("proceses")
    with pytest.raises(InputError, match="runs one cell at a time, not 2"):
        make_executor("here", 2)
    with pytest.raises(InputError, match="jobs = 0 is not valid"):
        make_executor("processes", 0)
