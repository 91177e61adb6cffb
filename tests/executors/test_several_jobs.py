"""`pflbench run --jobs N`: what it prints, its exit status, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from other_processes import PATIENCE, own_words
from sessions import Start, assert_same

from pflbench.cli.main import main
from pflbench.results import Store

RUN = (
    "run",
    "--dataset",
    "npz:points.npz",
    "--clients",
    "3",
    "--rounds",
    "4",
    "--eval-every",
    "2",
    "--device",
    "cpu",
)


@pytest.mark.slow
def test_a_cell_that_fails_stops_no_other(start: Start, folder: Path, data: str) -> None:
    command = (*RUN, "--algo", "fedprox(mu=1e30),local,fedavg", "--jobs", "2")
    running = start(*command)
    out, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 1
    assert re.search(r"\[\d/3\] failed fedprox\(mu=1e30\) on .*: .* NaN or infinite", err)
    ended = re.findall(r"\[(\d)/3\] (?:failed )?(\w+)", err)
    assert [number for number, _ in ended] == ["1", "2", "3"]
    assert {name for _, name in ended} == {"fedprox", "local", "fedavg"}
    assert "fedprox" in out
    assert "diverged" in out or "NaN" in out or "failed" in out
    store = Store(folder / "results")
    assert sorted(run.status for run in store.runs()) == ["complete", "complete", "failed"]
    again = start(*RUN, "--algo", "local,fedavg", "--jobs", "2")
    _, err = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0
    assert err.count("there already, run ") == 2


@pytest.mark.slow
def test_numbers_do_not_depend_on_the_jobs(
    start: Start, folder: Path, data: str, one_thread: None
) -> None:
    command = (*RUN, "--algo", "fedora,pfedhn,fedavg-ft", "--seed", "0,1", "--quiet")
    running = start(*command, "--jobs", "2", "--results", "two")
    here = CliRunner().invoke(main, [*command, "--results", "one"])
    _, err = running.communicate(timeout=PATIENCE)
    assert (running.returncode, here.exit_code) == (0, 0)
    assert [line for line in own_words(err).splitlines() if not line.startswith("Notice: ")] == []
    runs = Store(folder / "one").runs()
    assert len(runs) == 6
    for run in runs:
        twin = Store(folder / "two").get(run.id)
        assert twin is not None
        assert_same(run, twin)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--jobs", "0"), "--jobs '0' is not valid"),
        (("--jobs", "2", "--executor", "here"), "runs one cell at a time, not 2"),
        (("--executor", "slurm"), "--executor"),
    ],
)
def test_what_is_refused(options: tuple[str, ...], message: str, folder: Path, data: str) -> None:
    refused = CliRunner().invoke(main, [*RUN, "--algo", "local", *options])
    assert refused.exit_code == 2
    assert message in refused.stderr
    assert not (folder / "results").exists()


def test_processes_that_share_a_cell_run_one_at_a_time(
    folder: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    refused = CliRunner().invoke(main, [*RUN, "--algo", "local", "--jobs", "2"])
    assert refused.exit_code == 2
    assert "--jobs 2 and torchrun exclude each other" in refused.stderr
