"""Cells that another process runs are passed over, and come back to."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from other_processes import PATIENCE
from sessions import Start

from pflbench.experiments.executors import Here, Outcome, Watch, Work, run_cells
from pflbench.results import RunWriter, Store
from pflbench.runs import RunRequest, plan

METHODS = ("local", "fedavg", "fedprox")


class Listener(Watch):
    """Notes what it hears; whoever runs cells elsewhere gives one up when it is waited for."""

    def __init__(self, *elsewhere: RunWriter) -> None:
        self.elsewhere = list(elsewhere)
        self.heard: list[str] = []
        self.holders: list[str] = []

    def ended(self, work: Work, outcome: Outcome) -> None:
        self.heard.append(f"{work.title} {outcome.status}")

    def waiting(self, works: Sequence[Work], holders: Sequence[str]) -> None:
        self.heard.append("waiting for " + ", ".join(work.title for work in works))
        self.holders += holders
        self.elsewhere.pop().close()


def test_busy_cells_are_run_once_they_are_given_up(
    one_thread: None, folder: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pflbench.experiments.executors.cell_runs.SECONDS_BETWEEN_LOOKS", 0.05)
    results = folder / "results"
    requests = [RunRequest(m, data, clients=3, rounds=2, device="cpu") for m in METHODS]
    planned = {request.algorithm: plan(request) for request in requests}
    works = [Work(planned[r.algorithm].cell.id, r, results, r.algorithm) for r in requests]
    store = Store(results, create=True)
    elsewhere = [store.open(planned[m].cell.to_json(), {}, {}) for m in ("local", "fedprox")]
    watch = Listener(*elsewhere)
    outcomes = run_cells(works, Here(), watch)
    assert watch.heard == [
        "local busy",
        "fedavg complete",
        "fedprox busy",
        "waiting for local, fedprox",
        "fedprox complete",
        "waiting for local",
        "local complete",
    ]
    assert set(watch.holders) == {f"process {os.getpid()} on {platform.node()}"}
    assert [outcome.status for outcome in outcomes.values()] == ["complete"] * 3


def test_a_busy_cell_that_fails_elsewhere_is_not_run_again(
    folder: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Listener):
        def waiting(self, works: Sequence[Work], holders: Sequence[str]) -> None:
            self.elsewhere[0].fail({}, {"error": "Other", "message": "It diverged."})
            super().waiting(works, holders)

    monkeypatch.setattr("pflbench.experiments.executors.cell_runs.SECONDS_BETWEEN_LOOKS", 0.05)
    request = RunRequest("local", data, clients=3, rounds=2, device="cpu")
    cell = plan(request).cell
    watch = Failing(Store(folder / "results", create=True).open(cell.to_json(), {}, {}))
    outcomes = run_cells([Work(cell.id, request, folder / "results", "local")], Here(), watch)
    assert outcomes == {cell.id: Outcome(cell.id, "failed", "It diverged.")}
    assert watch.heard == ["local busy", "waiting for local", "local failed"]


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_two_commands_on_one_folder_run_each_cell_once(
    jobs: str, start: Start, folder: Path, data: str
) -> None:
    command = (
        "run",
        "--dataset",
        data,
        "--clients",
        "3",
        "--rounds",
        "100",
        "--eval-every",
        "50",
        "--device",
        "cpu",
        "--algo",
        ",".join(METHODS),
        "--seed",
        "0,1",
        "--jobs",
    )
    one, other = start(*command, "1"), start(*command, jobs)
    ended = [process.communicate(timeout=PATIENCE) for process in (one, other)]
    (out, err), (out_too, err_too) = ended
    assert (one.returncode, other.returncode) == (0, 0), err + err_too
    assert out == out_too
    assert "fedprox" in out
    runs = Store(folder / "results").runs()
    assert [run.status for run in runs] == ["complete"] * 6
    assert not [run.id for run in runs if "earlier" in run.environment]
    both = err + err_too
    assert len(re.findall(r"there already, run", both)) == 6
    assert both.count("selected on validation") == 12
