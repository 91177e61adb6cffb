"""`pflbench reproduce`: what it prints, and how it ends."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pandas as pd
import pytest
from calling import Call
from hypothesis import given
from hypothesis import strategies as st

from pflbench.cli.option_types import listed
from pflbench.results import Store, StoredRun
from pflbench.runs.identity import command_for
from pflbench.schema.expressions import list_item, split_list
from pflbench.schema.scenario import Cell, Choice, Scenario

CELL = Cell(
    Scenario(
        dataset="npz",
        fingerprint="0",
        partition=Choice("iid", {}),
        clients=3,
        model=Choice("mlp", {}),
        rounds=1,
        local_epochs=1,
        local_steps=None,
        batch_size=8,
        lr=0.1,
        momentum=0.0,
        weight_decay=0.0,
        participation=1.0,
        eval_every=1,
    ),
    Choice("fedavg", {}),
    0,
)

RUN = (
    "run",
    "--algo",
    "fedavg",
    "--dataset",
    "npz:points.npz",
    "--clients",
    "3",
    "--rounds",
    "2",
    "--eval-every",
    "1",
    "--device",
    "cpu",
    "--partition",
    "iid",
)


@pytest.fixture(autouse=True)
def _on_one_core(one_thread: None) -> None:
    """Tiny tensors gain nothing from a second core."""


@pytest.fixture
def run(pflbench: Call, folder: Path, data: str) -> StoredRun:
    done = pflbench(*RUN)
    assert done.exit_code == 0, done.stderr
    (stored,) = Store(folder / "results").runs()
    return stored


def test_a_run_that_agrees(pflbench: Call, folder: Path, run: StoredRun) -> None:
    done = pflbench("reproduce", run.id[:7], "--keep", "again")
    assert done.exit_code == 0, done.stderr
    assert "It agrees, bit for bit." in done.stdout
    assert "same bits" in done.stdout
    assert "round 2/2" in done.stderr
    (kept,) = Store(folder / "again").runs()
    assert kept.id == run.id
    told = json.loads(pflbench("reproduce", run.id, "--format", "json", "--quiet").stdout)
    assert (told["agrees"], told["exact"], told["run_id"]) == (True, True, run.id)
    assert {table["table"] for table in told["tables"]} >= {"metrics", "rounds", "messages"}


def test_a_run_that_differs(pflbench: Call, run: StoredRun) -> None:
    table = run.table("metrics")
    table.loc[table.index[-1], "correct"] += 1
    table.to_parquet(run.folder / "metrics.parquet")
    done = pflbench("reproduce", run.id)
    assert done.exit_code == 1
    (line,) = (line for line in done.stdout.splitlines() if "correct" in line)
    last = pd.read_parquet(run.folder / "metrics.parquet").iloc[-1]
    where = f"round {last['round']}, client {last.client}, split {last.split}"
    assert where in line
    assert line.split()[2] == "1"
    assert line.rstrip().endswith("differs")
    assert pflbench("reproduce", run.id, "--tolerance", "0.5").exit_code == 0


def test_other_data_here(pflbench: Call, folder: Path, run: StoredRun) -> None:
    (folder / "points.npz").rename(folder / "elsewhere.npz")
    gone = pflbench("reproduce", run.id)
    assert gone.exit_code == 2
    assert "points.npz" in gone.stderr
    assert pflbench("reproduce", run.id, "--dataset", "npz:elsewhere.npz").exit_code == 0
    other = pflbench("reproduce", run.id, "--dataset", "digits-of-nothing")
    assert other.exit_code == 2
    assert "There is no data set" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ffffffffffff"], "There is no run 'ffffffffffff'."),
        (["--tolerance", "1"], "--tolerance '1' is not valid"),
        (["--keep", "results"], "results holds the run itself"),
    ],
)
def test_bad_input(pflbench: Call, run: StoredRun, arguments: list[str], message: str) -> None:
    words = arguments if arguments[0][0] != "-" else [run.id, *arguments]
    done = pflbench("reproduce", *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr


@pytest.mark.slow
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1)))
def test_lists_of_paths_are_read_as_they_are_written(texts: list[str]) -> None:
    assert split_list(",".join(map(list_item, texts))) == texts


def test_a_printed_command_names_the_path_that_was_given(
    pflbench: Call, folder: Path, run: StoredRun
) -> None:
    """Commas, quotes, spaces and brackets: the command of the run runs the run."""
    path = """a, "b'(c  .npz"""
    (folder / "points.npz").rename(folder / path)
    words = list(RUN)
    words[words.index("npz:points.npz")] = list_item(f"npz:{path}")
    again = pflbench(*words, "--results", "other")
    assert again.exit_code == 0, again.stderr
    (stored,) = Store(folder / "other").runs()
    assert (stored.id, stored.labels["dataset"]) == (run.id, f"npz:{path}")
    printed = shlex.split(stored.labels["command"])
    done = pflbench(*printed[1:], "--results", "third", "--device", "cpu")
    assert done.exit_code == 0, done.stderr
    assert pflbench("reproduce", run.id, "--results", "third").exit_code == 0


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_path_in_a_command_comes_back(path: str) -> None:
    words = shlex.split(command_for(CELL, f"npz:{path}"))
    assert listed([words[words.index("--dataset") + 1]]) == [f"npz:{path}"]
