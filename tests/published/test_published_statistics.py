"""What the page on statistics shows; calibration and tests by hand from the published tables."""

from __future__ import annotations

import csv
import io
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.stats import ttest_1samp

from pflbench.analysis import Board, boards, paired_tests
from pflbench.cli.main import main
from pflbench.results import Store, StoredRun

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "results" / "published"
PAGE = ROOT / "docs" / "statistics.md"


@pytest.fixture(scope="module")
def runs() -> list[StoredRun]:
    """The published runs on rotated MNIST."""
    return [
        run
        for run in Store(PUBLISHED).runs()
        if run.cell["scenario"]["dataset"] == "mnist"
        and run.cell["scenario"]["partition"]["name"] == "rotated"
    ]


@pytest.fixture(scope="module")
def board(runs: list[StoredRun]) -> Board:
    (made,) = boards(runs)
    return made


def selected(run: StoredRun) -> pd.DataFrame:
    """Return the test metrics of each client at the round selected on validation."""
    metrics = run.table("metrics").assign(accuracy=lambda m: m["correct"] / m["samples"])
    val = metrics[metrics["split"] == "val"].groupby("round")["accuracy"].mean().round(12)
    chosen = (metrics["split"] == "test") & (metrics["round"] == val.idxmax())
    return metrics[chosen].sort_values("client")


def of(runs: list[StoredRun], method: str) -> list[pd.DataFrame]:
    own = [run for run in runs if run.cell["algorithm"]["name"] == method]
    return [selected(run) for run in sorted(own, key=lambda run: int(run.cell["seed"]))]


def call(line: str) -> str:
    words = [w if w != "results/published" else str(PUBLISHED) for w in shlex.split(line)]
    done = CliRunner().invoke(main, words[1:])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_the_page_shows_what_the_command_prints() -> None:
    (block,) = re.findall(r"^```console\n\$ (.*?)\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    printed = call(block[0]).splitlines()
    shown = [line for line in block[1].splitlines() if line]
    assert len(shown) >= 16
    assert [line for line in printed if line in shown] == shown


def test_what_the_page_says_of_two_methods(board: Board) -> None:
    rows = {row.label: row.accuracies for row in board.rows}
    difference = rows["fedora"] - rows["pfedhn"]  # type: ignore[operator]
    assert difference.shape == (3, 36)
    assert sorted(difference.mean(axis=1) > 0) == [False, True, True]
    tests = paired_tests(board)
    assert len(tests) == 15
    assert {test.verdict for test in tests} == {"no verdict"}
    assert {(row.rank, row.worst_rank) for row in board.rows} == {(None, None)}
    assert sum("3 seeds: no verdict" in note for note in board.notes) == 1


@pytest.mark.parametrize("method", ["fedora", "fedavg", "pfedhn"])
def test_an_interval_follows_from_the_tables(
    method: str, runs: list[StoredRun], board: Board
) -> None:
    (row,) = [row for row in board.rows if row.label == method]
    own, local = (
        np.array([part["accuracy"].to_numpy() for part in of(runs, name)])
        for name in (method, "local")
    )
    np.testing.assert_array_equal(row.accuracies, own)
    by_seed = (own - local).mean(axis=1)
    low, high = ttest_1samp(by_seed, 0).confidence_interval(0.95)
    (test,) = [t for t in paired_tests(board) if {t.first, t.second} == {method, "local"}]
    told = test if test.first == method else test.turned()
    assert row.measures is not None
    # The interval of the gain, which the standard columns show, is the same.
    assert (told.low, told.high) == pytest.approx((row.measures.gain_low, row.measures.gain_high))
    assert (told.low, told.high) == pytest.approx((low, high))
    assert told.mean_difference == pytest.approx(row.measures.gain)
    assert told.std == pytest.approx(by_seed.std(ddof=1))


@pytest.mark.parametrize("method", ["fedora", "local"])
def test_calibration_follows_from_the_tables(method: str, runs: list[StoredRun]) -> None:
    parts = of(runs, method)
    line = f"pflbench leaderboard --results {PUBLISHED} --dataset mnist --format csv"
    (row,) = [
        row
        for row in csv.DictReader(io.StringIO(call(line)))
        if row["method"] == method and row["partition"].startswith("rotated") and row["runs"]
    ]
    for name, column in (("nll", "loss"), ("brier", "brier"), ("ece", "ece")):
        assert float(row[name]) == pytest.approx(np.mean([part[column].mean() for part in parts]))
    for name, column in (("nll_by_samples", "loss"), ("brier_by_samples", "brier")):
        pooled = [np.average(part[column], weights=part["samples"]) for part in parts]
        assert float(row[name]) == pytest.approx(np.mean(pooled))
    shown = call(
        f"pflbench leaderboard --results {PUBLISHED} --dataset mnist --columns calibration"
    )
    ece = np.mean([part["ece"].mean() for part in parts])
    assert re.search(rf"^{method} +3 .* {100 * ece:.2f} ", shown, re.M)


def test_reference_rows_that_nobody_ran_are_one_line() -> None:
    base = f"pflbench leaderboard --results {PUBLISHED} --dataset mnist --format"
    for form in ("text", "markdown", "latex"):
        said = " ".join(call(f"{base} {form}").replace("\\", "").split())
        assert (
            said.count("No run of the reference rows local, fedavg, fedavg-ft; without local") == 1
        )
    found = list(csv.DictReader(io.StringIO(call(f"{base} csv"))))
    assert all(row["runs"] for row in found)
