"""`pflbench run` from end to end, on small data."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from calling import SMALL, Call, files
from other_processes import PATIENCE

from pflbench.cli.progress.one_cell import PlainDisplay
from pflbench.results import Store
from pflbench.runs import Progress


def runs(folder: Path) -> list[Path]:
    return sorted((folder / "results" / "runs").iterdir())


def test_a_cell_shows_its_rounds_and_ends_with_its_table(
    pflbench: Call, folder: Path, data: str
) -> None:
    result = pflbench("run", "--algo", "fedavg", "--dataset", data, *SMALL)
    assert result.exit_code == 0, result.stderr
    notice, *lines = result.stderr.splitlines()
    assert notice.startswith("Notice: 1 of 3 clients is tested on some classes")
    assert lines[0].startswith("Data: ")
    assert "4 rounds" in lines[1]
    assert "3 clients" in lines[1]
    assert re.search(r"round 4/4: validation accuracy [\d.]+%, worst tenth [\d.]+%, ", lines[-2])
    assert re.search(r"[\d.]+ kB up, [\d.]+ kB down", lines[-2])
    assert re.search(r"test accuracy [\d.]+%, worst tenth [\d.]+% \(round \d, sel", lines[-1])
    assert "\x1b" not in result.output
    assert re.search(r"^ +– +fedavg +1 ", result.stdout, re.MULTILINE)
    (run,) = Store(folder / "results").runs()
    assert run.status == "complete"
    assert f"{100 * run.summary['test_accuracy']:.2f}" in result.stdout


def test_what_is_there_is_not_run_again_unless_asked(
    pflbench: Call, folder: Path, data: str
) -> None:
    command = ("run", "--algo", "local", "--dataset", data, *SMALL)
    first = pflbench(*command)
    (run,) = runs(folder)
    written = (run / "summary.json").stat().st_mtime_ns
    second = pflbench(*command)
    assert second.exit_code == 0
    assert f"there already, run {run.name}" in second.stderr
    assert second.stdout == first.stdout
    assert (run / "summary.json").stat().st_mtime_ns == written
    assert pflbench(*command, "--rerun", "always").exit_code == 0
    assert (run / "summary.json").stat().st_mtime_ns > written
    assert runs(folder) == [run]


@pytest.mark.slow
def test_a_matrix_runs_cell_by_cell(pflbench: Call, folder: Path, data: str) -> None:
    result = pflbench(
        "run",
        "--algo",
        "local,fedora(top_k=1)",
        "--algo",
        "fedora",
        "--dataset",
        data,
        "--partition",
        "iid,dirichlet(alpha=0.5, )",
        "--seed",
        "1,0",
        "--seed",
        "1",
        "--set",
        "fedora.temperature=2",
        *SMALL,
        "--rounds",
        "2",
        "--quiet",
    )
    assert result.exit_code == 0, result.stderr
    (notice,) = result.stderr.splitlines()  # of the data, which is no progress
    assert notice.startswith("Notice: 1 of 3 clients is tested on some classes")
    stored = Store(folder / "results").runs()
    cells = {
        (
            run.cell["algorithm"]["name"],
            run.cell["algorithm"]["parameters"].get("top_k"),
            run.cell["scenario"]["partition"]["name"],
            run.cell["seed"],
        )
        for run in stored
    }
    assert len(stored) == len(cells) == 12
    assert {
        run.cell["algorithm"]["parameters"]["temperature"]
        for run in stored
        if run.cell["algorithm"]["name"] == "fedora"
    } == {2.0}
    assert result.stdout.count("points.npz · ") == 2
    board = pflbench("leaderboard", "--format", "csv")
    assert len(board.stdout.splitlines()) == 1 + 2 * 3  # three rows a board


def test_a_cell_that_fails_stops_no_other(pflbench: Call, folder: Path, data: str) -> None:
    result = pflbench(
        "run",
        "--algo",
        "fedprox,local",
        "--dataset",
        data,
        *SMALL,
        "--set",
        "fedprox.mu=1e30",
        "--momentum",
        "0",
    )
    assert result.exit_code == 1
    assert re.search(r"\[1/2\] failed fedprox\(mu=1e30\) on .*: .* NaN or infinite", result.stderr)
    assert "[2/2] local" in result.stderr
    by_name = {run.cell["algorithm"]["name"]: run for run in Store(folder / "results").runs()}
    assert by_name["local"].status == "complete"
    failure = by_name["fedprox"]
    assert failure.status == "failed"
    assert failure.failure["round"] >= 1
    assert "fedprox" in result.stdout
    shown = pflbench("show", "run", failure.id[:8])
    assert shown.exit_code == 0
    assert "failed" in shown.stdout
    assert "DivergedError" in shown.stdout


def test_the_printed_command_repeats_the_run(pflbench: Call, folder: Path, data: str) -> None:
    assert (
        pflbench(
            "run",
            "--algo",
            "fedora",
            "--dataset",
            data,
            "--seed",
            "3",
            "--set",
            "fedora.alpha=0.3",
            "--partition",
            "pathological(classes_per_client=2)",
            "--local-steps",
            "2",
            *SMALL,
        ).exit_code
        == 0
    )
    (run,) = Store(folder / "results").runs()
    words = shlex.split(run.labels["command"])
    again = pflbench(*words[1:])
    assert again.exit_code == 0
    assert f"there already, run {run.id}" in again.stderr


def test_results_and_data_folders_come_from_the_environment(
    pflbench: Call, folder: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PFLBENCH_RESULTS", "elsewhere")
    result = pflbench("run", "--algo", "local", "--dataset", data, *SMALL)
    assert result.exit_code == 0
    assert "elsewhere/pflbench.json" in files(folder)
    assert not (folder / "results").exists()
    assert "local" in pflbench("leaderboard").stdout


def start(folder: Path, data: str, *more: str, stderr: int) -> subprocess.Popen[bytes]:
    command = ["run", "--algo", "fedavg", "--dataset", data, "--clients", "3", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "pflbench", *command, "--device", "cpu"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"},
        # A process that a shell put in the background ignores SIGINT, and its children do.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.slow
def test_an_interrupted_run_says_how_to_go_on(folder: Path, data: str) -> None:
    running = start(
        folder, data, "--rounds", "1000000", "--eval-every", "1", stderr=subprocess.PIPE
    )
    assert running.stderr is not None
    seen = b""
    while b"round 1/" not in seen:
        line = running.stderr.readline()
        assert line, seen
        seen += line
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130
    assert out == b""
    last = err.decode().strip().splitlines()[-1]
    assert "To resume: pflbench run --algo fedavg --dataset npz:points.npz" in last
    assert b"Traceback" not in err
    (run,) = Store(folder / "results").runs()
    assert run.status == "unfinished"


def test_an_interrupted_run_goes_on_and_ends_with_the_same_numbers(
    pflbench: Call, folder: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("run", "--algo", "fedora,local", "--dataset", data, *SMALL)
    assert pflbench(*command, "--results", "whole").exit_code == 0

    def interrupt(self: PlainDisplay, progress: Progress) -> None:
        if progress.round == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pflbench.runs.execution.CHECKPOINT_SECONDS", 0.0)
        patch.setattr(PlainDisplay, "round_done", interrupt)
        stopped = pflbench(*command)
    assert stopped.exit_code == 130
    assert stopped.stderr.splitlines()[-1].endswith(shlex.join(["pflbench", *command]))
    resumed = pflbench(*command)
    assert resumed.exit_code == 0
    assert "resuming after round 2" in resumed.stderr
    for run in Store(folder / "results").runs():
        twin = Store(folder / "whole").get(run.id)
        assert twin is not None
        pd.testing.assert_frame_equal(run.table("metrics"), twin.table("metrics"))
        assert run.summary["test_accuracy"] == twin.summary["test_accuracy"]
        assert run.summary["bytes_up"] == twin.summary["bytes_up"]


@pytest.mark.mostly_slow("more0", "more2")
@pytest.mark.parametrize("more", [(), ("--jobs", "2"), ("--quiet",), ("--quiet", "--jobs", "2")])
def test_a_damaged_checkpoint_is_a_sentence_and_none_where_only_the_table_is_wanted(
    more: tuple[str, ...], pflbench: Call, folder: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: PlainDisplay, progress: Progress) -> None:
        if progress.round == 3:
            raise KeyboardInterrupt

    command = ("run", "--algo", "fedavg", "--dataset", data, *SMALL)
    with monkeypatch.context() as patch:
        patch.setattr("pflbench.runs.execution.CHECKPOINT_SECONDS", 0.0)
        patch.setattr(PlainDisplay, "round_done", interrupt)
        assert pflbench(*command).exit_code == 130
    (manifest,) = folder.glob("results/runs/*/checkpoint/*/manifest.json")
    manifest.write_text("{")
    resumed = pflbench(*command, *more)
    assert resumed.exit_code == 0
    said = " ".join(resumed.stderr.split())
    assert ".py" not in said
    assert "Warning" not in said
    assert said.count("the run starts again.") == ("--quiet" not in more)


@pytest.mark.slow
def test_a_terminal_gets_a_live_display(folder: Path, data: str) -> None:
    ours, theirs = pytest.importorskip("pty").openpty()
    running = start(folder, data, "--rounds", "400", "--eval-every", "10", stderr=theirs)
    os.close(theirs)
    seen, began = b"", time.monotonic()
    while time.monotonic() - began < PATIENCE:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        seen += part
    os.close(ours)
    running.communicate(timeout=PATIENCE)
    assert running.returncode == 0
    text = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", seen).decode()
    assert b"\x1b[" in seen
    assert re.search(r"round \d+/400", text)
    assert re.search(r"\d:\d\d left", text)
    assert "validation accuracy" in text
    assert "fedavg on npz:points.npz, seed 0" in text
