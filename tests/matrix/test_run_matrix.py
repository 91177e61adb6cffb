"""A matrix run from Python: the same cells as on the command line, and an outcome for each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import pflbench
from pflbench.cli.main import main
from pflbench.errors import InputError
from pflbench.results import Store

MATRIX: dict[str, Any] = {
    "methods": ["local", "fedprox(mu=0.1)"],
    "seeds": range(2),
    "scenario": {
        "dataset": "npz:points.npz",
        "rounds": 2,
        "local_epochs": 1,
        "model": "mlp(hidden=8)",
    },
}

TOML = """
methods = ["local", "fedprox(mu=0.1)"]
seeds = [0, 1]
[scenario]
dataset = "npz:points.npz"
rounds = 2
local_epochs = 1
model = "mlp(hidden=8)"
"""

SCRIPT = f"""
import pflbench
for outcome in pflbench.run_matrix({MATRIX!r}, jobs=2, device="cpu"):
    print(outcome.title, outcome.status)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working directory with a small federation's samples."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PFLBENCH_RESULTS", raising=False)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 240)
    x = (rng.normal(size=(240, 8)) + 2 * np.eye(8)[y]).astype(np.float32)
    np.savez(tmp_path / "points.npz", x=x, y=y, client=rng.integers(0, 4, 240))
    return tmp_path


def run_matrix(matrix: Any = MATRIX, **options: Any) -> list[pflbench.CellOutcome]:
    return pflbench.run_matrix(matrix, device="cpu", **options)


def test_a_mapping_a_file_and_the_command_line_run_the_same_cells(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "matrix.toml").write_text(TOML)
    made = run_matrix()
    assert capsys.readouterr() == ("", "")
    assert [one.title for one in made] == [
        f"{method} on npz:points.npz, seed {seed}"
        for seed in (0, 1)
        for method in MATRIX["methods"]
    ]
    assert {one.status for one in made} == {"complete"}
    again = run_matrix("matrix.toml")
    assert [(one.run_id, one.status) for one in again] == [(one.run_id, "there") for one in made]
    listed = CliRunner().invoke(main, ["run", "--matrix", "matrix.toml", "--device", "cpu"])
    assert listed.exit_code == 0, listed.output
    assert {run.id for run in Store(folder / "results").runs()} == {one.run_id for one in made}


def test_an_outcome_has_the_result_that_is_stored() -> None:
    (first, *_) = run_matrix(results="mine")
    assert first.done
    alone = pflbench.run("local", device="cpu", **MATRIX["scenario"])
    assert first.result.run_id == alone.run_id
    assert first.result.metrics.equals(alone.metrics)


def test_a_cell_that_fails_stops_no_other_and_says_why() -> None:
    matrix = {**MATRIX, "methods": ("local(local_lr=1e30)", "fedavg"), "seeds": 0}
    failed, other = run_matrix(matrix)
    assert (failed.status, other.status) == ("failed", "complete")
    assert "NaN or infinite" in failed.reason
    assert "Traceback" in failed.trace
    with pytest.raises(InputError, match=r"has no result: .*NaN or infinite"):
        _ = failed.result


def test_all_parts_together_run_each_cell_once() -> None:
    whole = {one.run_id for one in run_matrix(results="whole")}
    parts = [{one.run_id for one in run_matrix(results="parts", shard=f"{i}/3")} for i in (1, 2, 3)]
    assert sum(map(len, parts)) == len(whole)
    assert set().union(*parts) == whole


@pytest.mark.slow
def test_a_script_without_a_guard_is_not_begun_again_by_its_workers(folder: Path) -> None:
    (folder / "script.py").write_text(SCRIPT)
    ended = subprocess.run(
        [sys.executable, "script.py"], capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert [line.split()[-1] for line in ended.stdout.splitlines()] == ["complete"] * 4


@pytest.mark.parametrize(
    ("matrix", "options", "said"),
    [
        (5, {}, "matrix = 5 is not valid"),
        ({**MATRIX, "method": []}, {}, "no key 'method'.*'methods'"),
        ({**MATRIX, "methods": []}, {}, "methods: it is empty"),
        ("nowhere.toml", {}, "nowhere.toml cannot be read"),
        (MATRIX, {"jobs": "two"}, "jobs = 'two' is not valid"),
        (MATRIX, {"jobs": 0}, "jobs = 0 is not valid"),
        (MATRIX, {"rerun": "allways"}, "'allways'.*always"),
        (MATRIX, {"executor": "cloud"}, "executor 'cloud'"),
        (MATRIX, {"shard": "3"}, "'3' is not valid"),
        (MATRIX, {"engine": "stakced"}, "'stakced'.*stacked"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_written(
    folder: Path, matrix: Any, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        run_matrix(matrix, **options)
    assert not (folder / "results").exists()


def test_a_table_has_exactly_the_cells_of_its_matrix(folder: Path) -> None:
    """A cell without a complete run is no dash that a reader would take for a choice."""
    (folder / "matrix.toml").write_text(TOML)
    run_matrix()
    run_matrix({**MATRIX, "methods": "fedavg", "seeds": 0})  # not in the file
    made = pflbench.table(matrix="matrix.toml")
    assert made.content.methods == ("local", "fedprox(mu=0.1)")
    assert set(made.to_frame()["seeds"]) == {2}
    asked = ["table", "--matrix", "matrix.toml", "--format", "latex"]
    printed = CliRunner().invoke(main, asked)
    assert printed.exit_code == 0, printed.output
    assert printed.stdout.rstrip("\n") == made.to_latex().rstrip("\n")
    (folder / "matrix.toml").write_text(TOML.replace("[0, 1]", "[0, 1, 2]"))
    refused = CliRunner().invoke(main, asked)
    assert refused.exit_code == 2
    assert refused.stdout == ""
    assert "2 of the matrix's 6 cells have no complete run in results" in refused.stderr
    assert "local on npz:points.npz, seed 2 (missing)" in refused.stderr
    both = CliRunner().invoke(main, [*asked, "--scenario", "abc"])
    assert both.exit_code == 2
