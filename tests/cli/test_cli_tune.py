"""Tuning from the command line, and the matrix that runs with what was found."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import SMALL, Call, files

from pflbench.results import Store
from pflbench.results.tunings import studies_of

FILE = """
methods = ["local", "fedprox"]
seeds = [0, 1]

[scenario]
dataset = "npz:points.npz"
clients = 3
rounds = 4
eval_every = 2

[tuning]
trials = 3
rounds = 2
extend = false
"""
CPU = ("--device", "cpu")


@pytest.fixture
def matrix(folder: Path, data: str) -> str:
    (folder / "matrix.toml").write_text(FILE, "utf-8")
    return "matrix.toml"


@pytest.mark.slow
def test_a_matrix_is_tuned_and_then_run_with_what_was_found(
    pflbench: Call, folder: Path, matrix: str
) -> None:
    early = pflbench("run", "--matrix", matrix, *CPU)
    assert early.exit_code == 2
    assert "run pflbench tune first" in early.stderr
    assert not (folder / "results").exists()

    tuned = pflbench("tune", "--matrix", matrix, *CPU)
    assert tuned.exit_code == 0, tuned.stderr
    studies = {study.algorithm: study for study in studies_of(folder / "results")}
    assert {name: len(study.finished) for name, study in studies.items()} == {
        "local": 3,
        "fedprox": 3,
    }
    assert tuned.stderr.count("validation") == 6
    before = files(folder)
    again = pflbench("tune", "--matrix", matrix, *CPU)
    assert again.exit_code == 0
    assert "validation" not in again.stderr  # no trial was run again
    assert files(folder) == before

    ran = pflbench("run", "--matrix", matrix, *CPU)
    assert ran.exit_code == 0, ran.stderr
    runs = Store(folder / "results").runs()
    assert len(runs) == 4
    for run in runs:
        best = studies[run.typed_cell.algorithm.name].best
        assert best is not None
        cell = run.typed_cell
        setting = {"local_lr": cell.scenario.lr, **cell.algorithm.parameters}
        assert {name: setting[name] for name in best.parameters} == best.parameters
    board = pflbench("leaderboard")
    assert "Tuned on validation, 3 trials each of 2 rounds with seed 100" in " ".join(
        board.stdout.split()
    )


def test_options_say_what_to_tune(pflbench: Call, folder: Path, data: str) -> None:
    result = pflbench(
        "tune",
        "--algo",
        "local",
        "--dataset",
        data,
        *SMALL,
        "--trials",
        "2",
        "--trial-rounds",
        "1",
        "--trial-seed",
        "0,4",
        "--no-extend",
        "--quiet",
    )
    assert result.exit_code == 0, result.stderr
    (study,) = studies_of(folder / "results")
    assert (len(study.trials), study.scenario["rounds"], study.seeds) == (2, 1, (0, 4))


@pytest.mark.slow
def test_trials_are_continued_where_the_best_is_at_the_end_of_what_was_tried(
    pflbench: Call, folder: Path, matrix: str
) -> None:
    pflbench("tune", "--matrix", matrix, *CPU)
    one = pflbench("tune", "--matrix", matrix, *CPU, "--extend", "--max-trials", "4")
    assert one.exit_code == 0, one.stderr
    assert "tried, declared" in one.stderr
    assert one.stderr.count("trial 4 of every method") >= 1
    assert one.stderr.count("[4/4]") == 2
    assert {len(study.trials) for study in studies_of(folder / "results")} == {4}
    whole = pflbench("tune", "--matrix", matrix, *CPU, "--extend")
    assert whole.exit_code == 0, whole.stderr
    assert "tried, declared" not in whole.stdout
    marked = [line for line in whole.stdout.splitlines() if line.startswith("‡")]
    assert all("declared" in line for line in marked)
    studies = studies_of(folder / "results")
    assert len({len(study.trials) for study in studies}) == 1
    before = files(folder)
    assert pflbench("tune", "--matrix", matrix, *CPU, "--extend").exit_code == 0
    assert files(folder) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--max-trials", "2"), "max_trials 2 is below trials 3"),
        (("--no-extend", "--max-trials", "5"), "leave one of the two out"),
        (("--score", "macro-f"), "macro-f1"),
    ],
)
def test_numbers_of_trials_that_exclude_each_other(
    pflbench: Call, folder: Path, matrix: str, options: tuple[str, ...], said: str
) -> None:
    (folder / matrix).write_text(FILE.replace("extend = false\n", ""), "utf-8")
    result = pflbench("tune", "--matrix", matrix, *CPU, *options)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not (folder / "results").exists()


def test_a_seed_that_no_compared_run_has_is_tuned_with(
    pflbench: Call, folder: Path, data: str
) -> None:
    small = [option for option in SMALL if option not in ("--rounds", "4")]
    for seeds, expected in (("0,1", 100), ("100,101", 102)):
        result = pflbench(
            "tune",
            "--algo",
            "local",
            "--dataset",
            data,
            *small,
            "--rounds",
            "1",
            "--seed",
            seeds,
            "--trials",
            "1",
            "--quiet",
            "--results",
            f"of {expected}",
        )
        assert result.exit_code == 0, result.stderr
        (study,) = studies_of(folder / f"of {expected}")
        assert study.seeds == (expected,)


def test_how_many_trials_must_be_said(pflbench: Call, folder: Path, data: str) -> None:
    result = pflbench("tune", "--algo", "local", "--dataset", data, *SMALL)
    assert result.exit_code == 2
    assert "expected --trials N" in result.stderr
    assert not (folder / "results").exists()


def test_a_search_is_not_shared_by_processes(
    pflbench: Call, folder: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = pflbench("tune", "--algo", "local", "--dataset", data, "--trials", "1", *SMALL)
    assert result.exit_code == 2
    assert "pflbench tune and torchrun exclude each other" in result.stderr
    assert not (folder / "results").exists()
