"""Cells on a Ray of this machine: the same numbers, Ctrl-C, and what is said when it cannot be."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner
from other_processes import PATIENCE
from sessions import Start, assert_same, holders, wait_until

from pflbench.cli.main import main
from pflbench.errors import InputError
from pflbench.experiments.executors import Outcome, Watch, Work, make_executor, ray_worker
from pflbench.results import Store
from pflbench.runs import RunRequest, plan

MARK = "PFLBENCH_TEST_OF_RAY"

CELLS = (
    "run",
    "--algo",
    "local,fedavg,fedora",
    "--dataset",
    "npz:points.npz",
    "--clients",
    "4",
    "--partition",
    "dirichlet(alpha=0.5)",
    "--model",
    "mlp(hidden=16)",
    "--device",
    "cpu",
)


@pytest.fixture
def marked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Mark all processes that come of the test, let Ray have a folder; nothing may be left."""
    mark = f"{folder.name}-{os.getpid()}"
    monkeypatch.setenv(MARK, mark)
    monkeypatch.setenv("HOME", str(folder / "home"))
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as short:  # a socket's path is short
        monkeypatch.setenv("RAY_TMPDIR", short)
        yield mark
        left = processes(mark)
        for process in left:
            process.kill()
        assert [*Path(short).iterdir()] == []
    assert left == []
    assert not (folder / "home").exists()


def processes(mark: str) -> list[psutil.Process]:
    """Return the processes of a test, but for this one and for those that are dead."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.pid != os.getpid():
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


@pytest.mark.slow
def test_the_numbers_are_those_of_this_process_and_a_failure_stops_no_cell(
    folder: Path, data: str, marked: str, start: Start, one_thread: None
) -> None:
    pytest.importorskip("ray")
    cells = [*CELLS, "--seed", "0,1", "--rounds", "6", "--set", "fedavg.local_lr=1e30"]
    on_ray = start(*cells, "--executor", "ray", "--jobs", "2", "--results", "ray")
    here = CliRunner().invoke(main, [*cells, "--results", "here"])
    out, err = on_ray.communicate(timeout=PATIENCE)
    assert (on_ray.returncode, here.exit_code) == (1, 1)
    assert "Traceback" not in err
    assert "raylet" not in out + err
    assert err.count("failed fedavg(local_lr=1e30) on npz:points.npz") == 2
    runs, others = (
        {(run.cell["algorithm"]["name"], run.cell["seed"]): run for run in Store(Path(name)).runs()}
        for name in ("ray", "here")
    )
    assert len(runs) == 6
    for cell, run in runs.items():
        assert run.status == others[cell].status == ("failed" if "fedavg" in cell else "complete")
        assert run.environment["chunk_cores"] == 1
        if run.status == "complete":
            assert_same(run, others[cell])
        else:
            assert run.failure["error"] == others[cell].failure["error"] == "DivergedError"


@pytest.mark.slow
def test_interrupted_it_ends_within_seconds_and_leaves_nothing(
    folder: Path, data: str, marked: str, start: Start
) -> None:
    pytest.importorskip("ray")
    running = start(*CELLS, "--executor", "ray", "--rounds", "200000")
    assert wait_until(lambda: len(holders(folder)) == 2)
    os.killpg(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130
    assert "To resume: pflbench run --algo" in err
    assert "Traceback" not in err
    assert processes(marked) == []
    assert {run.status for run in Store(folder / "results").runs()} == {"unfinished"}


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--ray-address", "10.0.0.1"], 2, "expected host:port, such as 10.0.0.1:6379, or auto."),
        (["--ray-address", "127.0.0.1:9"], 1, "Nothing answers at 127.0.0.1:9, where Ray should"),
        (["--executor", "here", "--cpus-per-cell", "2"], 2, "expected --executor ray with them."),
        (["--gpus-per-cell", "-1"], 2, "--gpus-per-cell '-1' is not valid"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    folder: Path, data: str, options: list[str], status: int, said: str
) -> None:
    pytest.importorskip("ray")
    done = CliRunner().invoke(main, [*CELLS, "--executor", "ray", *options])
    assert done.exit_code == status
    assert said in " ".join(done.stderr.split())
    assert not (folder / "results" / "runs").exists()


def test_cells_that_need_a_gpu_need_one_of_ray(folder: Path) -> None:
    pytest.importorskip("ray")
    work = Work("0" * 12, RunRequest("local", device="cuda"), folder / "results", "local")
    with make_executor("ray") as executor, pytest.raises(InputError, match=r"--gpus-per-cell 0\.5"):
        next(iter(executor.run([work], Watch())))
    assert not (folder / "results").exists()


def test_without_ray_the_way_to_get_it_is_said(
    folder: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as Python marks what cannot be imported
    done = CliRunner().invoke(main, [*CELLS, "--executor", "ray"])
    assert done.exit_code == 2
    assert "--executor ray needs Ray: pip install 'pflbench[ray]'" in " ".join(done.stderr.split())
    assert not (folder / "results").exists()


def test_a_machine_that_sees_another_folder_or_version_runs_nothing(
    folder: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_worker, "PATIENCE", 0.1)
    request = RunRequest("local", data, clients=4, rounds=2, partition="iid", device="cpu")
    ours, theirs = folder / "ours", folder / "theirs"
    Store(ours, create=True).make()
    with ray_worker.marked([ours]) as mark:
        around = ray_worker.surroundings(mark, threads=1, gpus=0.0)
        seen = Work(plan(request).cell.id, request, theirs, "local")
        *_, (event, outcome) = ray_worker.run_cell(seen, around)
        assert (event, outcome.status) == ("ended", "failed")
        assert f"does not see the results folder {theirs}" in outcome.message
        assert not theirs.exists()
        monkeypatch.setattr(ray_worker, "__version__", "0.0.0")
        seen = Work(seen.run_id, request, ours, "local")
        *_, (event, outcome) = ray_worker.run_cell(seen, around)
        assert "has pflbench 0.0.0, the process that sent the cell" in outcome.message
        monkeypatch.undo()
        *_, (event, outcome) = ray_worker.run_cell(seen, around)
        assert outcome == Outcome(seen.run_id, "complete")
    assert [run.status for run in Store(ours).runs()] == ["complete"]
    assert not [*(ours / ".locks").glob("ray-*")]
