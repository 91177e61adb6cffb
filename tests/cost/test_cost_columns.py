"""What boards say of cost: of whole runs, until a target, over a network, and of privacy."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import pflbench
from pflbench.analysis import Question, boards
from pflbench.analysis.network import read_network
from pflbench.analysis.run_costs import read
from pflbench.analysis.timeline import timeline
from pflbench.analysis.to_target import reached
from pflbench.cli.main import main
from pflbench.results import Store, StoredRun

Runs = dict[tuple[str, int], StoredRun]


def call(folder: Path, *arguments: str) -> Result:
    done = CliRunner().invoke(main, ["leaderboard", *arguments, "--results", str(folder)])
    assert done.exit_code == 0, done.stderr
    return done


def records(folder: Path, *arguments: str) -> dict[str, dict[str, str]]:
    """Return the rows of the board as CSV, by method."""
    written = call(folder, *arguments, "--format", "csv").stdout
    return {row["method"]: row for row in csv.DictReader(written.splitlines())}


@pytest.mark.slow
def test_seconds_and_memory_are_always_there(folder: Path, runs: Runs) -> None:
    row = records(folder)["fedora"]
    tables = [runs["fedora", seed].table("rounds") for seed in (0, 1)]
    for name in ("client_seconds", "server_seconds"):
        assert float(row[name]) == pytest.approx(np.mean([t[name].sum() for t in tables]))
    peak = np.mean([t["peak_memory_bytes"].max() for t in tables])
    assert float(row["peak_memory_bytes"]) == pytest.approx(peak)
    for name in ("target", "target_round", "network", "network_seconds", "epsilon", "delta"):
        assert row[name] == ""


def test_until_a_target_over_a_network(folder: Path, runs: Runs) -> None:
    target, over = 0.3, read_network("lte")
    rows = records(folder, "--target", str(target), "--network", "lte")
    for method in ("local", "fedavg", "fedora"):
        found, whole = [], []
        for seed in (0, 1):
            record = read(runs[method, seed])
            times = timeline(record, over.network)
            whole.append(times.total)
            found.append(reached(record, target, times))
        row = rows[method]
        assert row["network"] == "lte"
        assert float(row["network_seconds"]) == pytest.approx(np.mean(whole))
        assert float(row["target"]) == target
        assert int(row["target_seeds"]) == sum(end is not None for end in found)
        ends = [end for end in found if end is not None]
        if len(ends) < 2:
            assert row["target_round"] == row["target_bytes_up"] == ""
            continue
        for name in (
            "round",
            "test_accuracy",
            "bytes_up",
            "bytes_down",
            "local_steps",
            "network_seconds",
        ):
            expected = np.mean([getattr(end, name) for end in ends])
            assert float(row[f"target_{name}"]) == pytest.approx(expected)
        deviation = json.loads(row["deviations"])["target_test_accuracy"]
        assert deviation == pytest.approx(np.std([end.test_accuracy for end in ends], ddof=1))
        shown = call(folder, "--target", str(target)).stdout
        assert f"{100 * float(row['target_test_accuracy']):.2f} ± {100 * deviation:.2f}" in shown
    assert {row["target_seeds"] for row in rows.values()} >= {"2"}


@pytest.mark.slow
def test_a_question_alone_shows_the_columns_of_cost(folder: Path) -> None:
    shown = call(folder, "--target", "0.3", "--network", "lan").stdout
    for words in ("reached 30.0", "seconds over", "peak MB", "2 of 2 seeds"):
        assert words in shown
    assert "hurt %" not in shown
    assert "peak MB" in call(folder, "--columns", "cost").stdout
    assert "reached" not in call(folder, "--columns", "cost").stdout.split("gradients, MB:")[0]
    assert "peak MB" not in call(folder).stdout
    assert "hurt %" in call(folder, "--columns", "standard").stdout
    never = call(folder, "--target", "1").stdout
    assert re.search(r"fedora ↑? +never +– ", never)


@pytest.mark.parametrize("form", ["markdown", "latex"])
def test_the_columns_in_other_formats(form: str, folder: Path) -> None:
    shown = call(folder, "--target", "0.3", "--format", form).stdout
    assert "peak MB" in shown
    assert "2 of 2 seeds" in shown


def test_what_cannot_be_asked(folder: Path) -> None:
    unseen = ("--columns", "standard", "--target", "0.3")  # no column would show it
    for option in (("--target", "30"), ("--network", "lten"), unseen):
        done = CliRunner().invoke(main, ["leaderboard", *option, "--results", str(folder)])
        assert done.exit_code == 2
        assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_boards_of_protected_runs_have_epsilon(folder: Path, tmp_path: Path) -> None:
    data = f"npz:{folder.parent / 'digits.npz'}"
    protected = "gaussian(clip=1, noise=2, delta=1e-4)"
    for method, privacy, participation in (
        ("local", protected, 0.5),
        ("fedavg", protected, 0.5),
        ("fedora", protected, 0.5),
        ("fedavg", "gaussian(noise=0)", 1.0),
        ("fedavg", None, 1.0),
    ):
        for seed in (0, 1):
            pflbench.run(
                method,
                data,
                clients=6,
                rounds=4,
                eval_every=4,
                partition="iid",
                seed=seed,
                privacy=privacy,
                participation=participation,
                results=tmp_path / "r",
                device="cpu",
            )
    found = {
        (row.algorithm, row.spent.delta): row
        for board in boards(Store(tmp_path / "r").runs(), question=Question())
        for row in board.rows
    }
    worst = max(
        run.summary["epsilon"]
        for run in Store(tmp_path / "r").runs()
        if run.cell["algorithm"]["name"] == "fedora"
    )
    assert found["fedora", 1e-4].spent.epsilon == worst
    assert found["local", 1e-4].spent.epsilon == 0
    assert found["fedavg", 1e-5].spent.epsilon == float("inf")
    assert found["fedavg", None].spent.epsilon is None
    shown = call(tmp_path / "r").stdout
    assert f"{worst:,.4g}" in shown
    assert re.search(r"fedavg .* inf\n", shown)
    assert "δ of the scenario" in shown
    (plain,) = (
        run
        for run in Store(tmp_path / "r").runs()
        if "privacy" not in run.cell["scenario"] and run.cell["seed"] == 0
    )
    scenario = boards([plain])[0].scenario_id
    assert "ε" not in call(tmp_path / "r", "--scenario", scenario).stdout
