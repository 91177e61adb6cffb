"""A results folder that is moved, removed or cannot be written: one sentence, and nothing left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import pflbench
from pflbench import ObserverSpec
from pflbench.cli.main import main
from pflbench.errors import InputError, WorkError
from pflbench.results import Store
from pflbench.runs import Observer, Progress, execution

SMALL = ("--clients", "4", "--rounds", "4", "--eval-every", "2", "--device", "cpu", "--quiet")


class Strikes(Observer):
    """Does something to the results folder in the second round of the first run."""

    do: Callable[[], object] | None = None

    def round_done(self, progress: Progress) -> None:
        if progress.round == 2 and Strikes.do is not None:
            do, Strikes.do = Strikes.do, None
            do()


@pytest.fixture(autouse=True)
def _checkpoints_in_every_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "CHECKPOINT_SECONDS", -1.0)


GOING: dict[str, Callable[[Path], object]] = {
    "moved": lambda results: results.rename(results.with_name("away")),
    "removed": shutil.rmtree,
}


@pytest.mark.mostly_slow("removed")
@pytest.mark.parametrize("how", GOING)
def test_a_results_folder_that_goes_during_a_run_is_not_made_again(
    how: str, folder: Path, data: str, plugin: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ObserverSpec(name="strikes", summary="x", make=f"{__name__}:Strikes")
    plugin(observers=[spec])
    command = ["run", "--algo", "fedavg,local", "--dataset", data, *SMALL]
    monkeypatch.setattr(Strikes, "do", lambda: GOING[how](folder / "results"))
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 1, done.output
    first, second = (line for line in done.stderr.splitlines() if "failed" in line)
    assert "its folder is gone, moved or removed meanwhile" in first
    assert "There is no results folder results." in second
    assert "Traceback" not in done.output
    assert not (folder / "results").exists()
    again = CliRunner().invoke(main, command)
    assert again.exit_code == 0, again.output
    assert [run.status for run in Store(folder / "results").runs()] == ["complete"] * 2


def test_a_run_of_python_leaves_nothing_where_its_folder_was(
    federation: Any, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Strikes, "do", lambda: results.rename(results.with_name("away")))
    with pytest.raises(WorkError, match="its folder is gone"):
        pflbench.run("fedavg", federation, rounds=4, results=results, observers=[Strikes()])
    assert not results.exists()
    assert pflbench.run("fedavg", federation, rounds=4, results=results).folder is not None


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no folder be written, as far as the system tells: permissions do not bind root."""
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and access(path, mode))


def test_complete_cells_in_a_folder_that_cannot_be_written_are_shown(
    folder: Path, data: str, request: pytest.FixtureRequest
) -> None:
    command = ["run", "--algo", "fedavg", "--dataset", data, *SMALL]
    assert CliRunner().invoke(main, command).exit_code == 0
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    request.getfixturevalue("read_only")
    for more in ([], ["--dry-run"]):
        done = CliRunner().invoke(main, [*command, *more])
        assert done.exit_code == 0, done.output
        assert "fedavg" in done.stdout
    assert before == {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    for more in (["--seed", "1"], ["--rerun", "always"], ["--seed", "1", "--dry-run"]):
        refused = CliRunner().invoke(main, [*command, *more])
        assert refused.exit_code == 2
        assert "The results folder results cannot be written." in refused.stderr


def test_a_complete_run_of_python_needs_no_writing(
    federation: Any, results: Path, request: pytest.FixtureRequest
) -> None:
    first = pflbench.run("fedavg", federation, rounds=2, results=results)
    request.getfixturevalue("read_only")
    assert pflbench.run("fedavg", federation, rounds=2, results=results).summary == first.summary
    with pytest.raises(InputError, match="cannot be written"):
        pflbench.run("fedavg", federation, rounds=3, results=results)


REPRODUCING = """
import signal, sys, tempfile, os
import pflbench.runs.execution as execution
from pflbench.cli.main import main
play = execution._Execution._one_round
def struck(self):
    print(sorted(os.listdir(tempfile.gettempdir())), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    play(self)
execution._Execution._one_round = struck
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are of POSIX systems")
def test_a_reproduction_that_is_terminated_leaves_no_folder(folder: Path, data: str) -> None:
    command = ["run", "--algo", "fedavg", "--dataset", data, *SMALL]
    assert CliRunner().invoke(main, command).exit_code == 0
    (run,) = Store(folder / "results").runs()
    (folder / "temporary").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", REPRODUCING, "reproduce", run.id, "--quiet"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder / "temporary")},
    )
    assert done.returncode == 143, done.stderr
    assert done.stdout.startswith("['"), "it had no folder there"
    assert "Interrupted; the stored run is unchanged." in done.stderr
    assert not list((folder / "temporary").iterdir())
