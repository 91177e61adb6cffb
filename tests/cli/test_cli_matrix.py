"""A matrix from the command line: run, rehearsed, in parts, and how far it is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from calling import Call, files

from pflbench.results import Store
from pflbench_datasets import sources
from pflbench_datasets.download import DownloadError

FILE = """
methods = ["local", { name = "fedprox", mu = [0.1, 1] }]
seeds = [0, 1]

[scenario]
dataset = "npz:points.npz"
clients = 3
rounds = 4
eval_every = 2
local_steps = 2

[[scenarios]]
partition = ["iid", "dirichlet(alpha=0.5)"]

[[exclude]]
method = "local"
partition = "iid"
seed = 1
"""
CPU = ("--device", "cpu")


@pytest.fixture
def matrix(folder: Path, data: str) -> str:
    (folder / "matrix.toml").write_text(FILE, "utf-8")
    return "matrix.toml"


def standing(call: Call, *arguments: str) -> dict[str, Any]:
    result = call("status", *arguments, "--format", "json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    assert Counter(cell["state"] for cell in found["cells"]) == {
        state: number for state, number in found["counts"].items() if number
    }
    return found


def test_a_matrix_is_run_once_whichever_way_it_is_said(
    pflbench: Call, folder: Path, matrix: str
) -> None:
    ran = pflbench("run", "--matrix", matrix, *CPU)
    assert ran.exit_code == 0, ran.stderr
    assert len(Store(folder / "results").runs()) == 11
    again = pflbench(
        "run",
        "--algo",
        "local,fedprox(mu=0.1),fedprox(mu=1)",
        "--seed",
        "0,1",
        "--dataset",
        "npz:points.npz",
        "--partition",
        "iid,dirichlet(alpha=0.5)",
        "--clients",
        "3",
        "--rounds",
        "4",
        "--eval-every",
        "2",
        "--local-steps",
        "2",
        *CPU,
    )
    assert again.exit_code == 0
    assert again.stderr.count("there already") == 11
    assert len(Store(folder / "results").runs()) == 12


@pytest.mark.slow
def test_shards_run_each_cell_once(pflbench: Call, folder: Path, matrix: str) -> None:
    for i in (1, 2, 3):
        ran = pflbench("run", "--matrix", matrix, "--shard", f"{i}/3", *CPU)
        assert ran.exit_code == 0, ran.stderr
        assert "there already" not in ran.stderr
        assert len(Store(folder / "results").runs()) == (4, 8, 11)[i - 1]
    assert standing(pflbench, "--matrix", matrix)["counts"]["done"] == 11
    none = pflbench("run", "--matrix", matrix, "--shard", "12/12", *CPU)
    assert none.exit_code == 2
    assert "Shard 12/12 has no cells: the matrix has 11." in none.stderr


@pytest.mark.slow
def test_a_dry_run_tells_what_would_be_run_and_writes_nothing(
    pflbench: Call, folder: Path, matrix: str
) -> None:
    def rehearsed(*arguments: str) -> str:
        before = files(folder)
        result = pflbench("run", "--matrix", matrix, "--dry-run", *arguments, *CPU)
        assert result.exit_code == 0, result.stderr
        assert files(folder) == before
        return result.stdout

    said = rehearsed()
    assert "11 cells: 11 missing." in said
    assert "11 cells by a rule" in said
    assert len(re.findall(r"^ (?:local|fedprox\(mu=[\d.]+\)) .* missing ", said, re.M)) == 11

    assert pflbench("run", "--matrix", matrix, "--shard", "1/11", *CPU).exit_code == 0
    (run,) = Store(folder / "results").runs()
    said = rehearsed()
    assert re.search(rf"{run.id} +done\s*$", said, re.M)
    assert "11 cells: 1 done, 10 missing." in said
    one = run.cell["scenario"]["partition"]["name"]
    words = {
        "as runs of the same method in the same scenario took": 1 if one != "iid" else 0,
        "as runs of other methods in the same scenario took": 4,
    }
    for part, number in words.items():
        assert (f"  {'1 cell' if number == 1 else f'{number} cells'} {part}" in said) == bool(
            number
        )
    assert re.search(r"\d+ cells by the pace of other runs in this results folder", said)
    assert "by a rule, without any run" not in said

    again = rehearsed("--rerun", "always", "--shard", "1/11")
    assert "1 cell: 1 done." in again
    assert "To be run: 1 cell, about 0:0" in again
    assert "Nothing to run." in rehearsed("--shard", "1/11")


@pytest.mark.slow
def test_an_estimate_is_the_mean_of_like_runs(pflbench: Call, folder: Path, matrix: str) -> None:
    assert pflbench("run", "--matrix", matrix, *CPU).exit_code == 0
    text = (folder / "matrix.toml").read_text()
    (folder / "matrix.toml").write_text(text.replace("[0, 1]", "[0, 1, 2]"))
    for path in folder.glob("results/runs/*/summary.json"):
        summary = json.loads(path.read_text())
        del summary["sha256"]  # it is not to be as it was written
        path.write_text(json.dumps({**summary, "seconds": 600.0}))
    said = pflbench("run", "--matrix", matrix, "--dry-run", *CPU).stdout
    assert "To be run: 6 cells, about 1:00:00 one after the other" in said
    assert "6 cells as runs of the same method in the same scenario took" in said
    assert len(re.findall(r"missing +10:00\s*$", said, re.M)) == 6


def test_status_says_what_is_done_failed_running_and_missing(
    pflbench: Call, folder: Path, matrix: str
) -> None:
    assert standing(pflbench, "--matrix", matrix)["counts"] == {
        "done": 0,
        "running": 0,
        "failed": 0,
        "damaged": 0,
        "unfinished": 0,
        "missing": 11,
        "impossible": 0,
    }
    assert not (folder / "results").exists()
    # Half of the cells are run; a learning rate that diverges makes one fail.
    assert pflbench("run", "--matrix", matrix, "--shard", "1/2", *CPU).exit_code == 0
    failing = (
        "--algo",
        "fedprox",
        "--set",
        "fedprox.mu=1e30",
        "--dataset",
        "npz:points.npz",
        "--clients",
        "3",
        "--rounds",
        "4",
        "--momentum",
        "0",
    )
    assert pflbench("run", *failing, *CPU).exit_code == 1
    assert standing(pflbench, "--matrix", matrix)["counts"]["missing"] == 5
    (failed,) = standing(pflbench, *failing)["cells"]
    assert failed["state"] == "failed"
    assert "NaN or infinite" in failed["reason"]
    everything = standing(pflbench)
    assert everything["counts"] == {
        "done": 6,
        "running": 0,
        "failed": 1,
        "damaged": 0,
        "unfinished": 0,
        "missing": 0,
        "impossible": 0,
    }

    store = Store(folder / "results")
    run = store.get(failed["run"])
    assert run is not None
    with store.open(run.cell, run.labels, {}):
        (held,) = standing(pflbench, *failing)["cells"]
        assert held["state"] == "running"
        assert re.search(r"process \d+ on ", held["by"])
        assert re.search(r"Running .*\n.*\n.*fedprox\(mu=1e\+?30\).* process \d+", told(pflbench))
    (left,) = standing(pflbench, *failing)["cells"]
    assert (left["state"], left["by"]) == ("unfinished", None)


def told(call: Call, *arguments: str) -> str:
    result = call("status", *arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.mark.slow
def test_the_table_of_status_counts_seeds(pflbench: Call, folder: Path, matrix: str) -> None:
    assert pflbench("run", "--matrix", matrix, "--shard", "1/2", *CPU).exit_code == 0
    said = told(pflbench, "--matrix", matrix)
    (iid, dirichlet) = (line for line in said.splitlines() if line.startswith(" npz:points.npz"))
    done = [re.findall(r"(\d)/(\d)", line) for line in (iid, dirichlet)]
    assert [[int(of) for _, of in row] for row in done] == [[1, 2, 2], [2, 2, 2]]
    assert sum(int(number) for row in done for number, _ in row) == 6
    assert said.endswith("11 cells: 6 done, 5 missing.\n")


@pytest.mark.slow
def test_status_of_a_results_folder_needs_no_torch(
    pflbench: Call, folder: Path, matrix: str
) -> None:
    assert pflbench("run", "--matrix", matrix, "--shard", "1/4", *CPU).exit_code == 0
    code = (
        "import sys; from pflbench.cli.main import main\n"
        "try: main(['status'], prog_name='pflbench')\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'pandas'} & set(sys.modules), 'heavy'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "3 cells: 3 done." in done.stdout


def test_scenarios_of_one_name_say_what_tells_them_apart(pflbench: Call, data: str) -> None:
    for lr in ("0.1", "0.2"):
        command = ("run", "--algo", "local", "--dataset", data, "--clients", "3", "--rounds", "1")
        assert pflbench(*command, "--lr", lr, *CPU).exit_code == 0
    titles = {cell["title"] for cell in standing(pflbench)["cells"]}
    assert {title.rpartition(" · ")[2] for title in titles} == {"lr 0.1", "lr 0.2"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--algo", "local"], "so --algo cannot be given with it"),
        (["--dataset", "mnist"], "so --dataset cannot be given with it"),
        (["--seed", "0"], "so --seed cannot be given with it"),
        (["--set", "fedora.top_k=2"], "so --set cannot be given with it"),
        (["--rounds", "3"], "so --rounds cannot be given with it"),
        (["--precision", "float32"], "so --precision cannot be given with it"),
        (["--new-clients", "0.1"], "so --new-clients cannot be given with it"),
        (["--shard", "3/2"], "--shard '3/2' is not valid"),
    ],
)
def test_what_a_file_says_is_not_said_again(
    arguments: list[str], expected: str, pflbench: Call, folder: Path, matrix: str
) -> None:
    result = pflbench("run", "--matrix", matrix, *arguments)
    assert result.exit_code == 2
    assert expected in result.stderr
    assert not (folder / "results").exists()


def test_a_matrix_or_methods_and_data(pflbench: Call, folder: Path, matrix: str) -> None:
    for arguments, option in (
        (["run"], "--algo"),
        (["run", "--algo", "local"], "--dataset"),
        (["status", "--seed", "0"], "--algo"),
    ):
        result = pflbench(*arguments)
        assert result.exit_code == 2
        assert f"Missing option '{option}': expected --algo and --dataset, or --matrix FILE." in (
            result.stderr
        )
    (folder / "matrix.toml").write_text(FILE.replace("rounds", "rouns"))
    for command in ("run", "status"):
        result = pflbench(command, "--matrix", matrix)
        assert result.exit_code == 2
        assert "matrix.toml: [scenario]: There is no key 'rouns'. Did you mean" in result.stderr


@pytest.mark.slow
def test_many_boards_are_not_printed_at_the_end(pflbench: Call, folder: Path, data: str) -> None:
    partitions = ",".join(f"dirichlet(alpha={alpha})" for alpha in range(1, 8))
    command = (
        "run",
        "--algo",
        "local",
        "--dataset",
        data,
        "--clients",
        "3",
        "--rounds",
        "1",
        "--partition",
        partitions,
        "--results",
        "my results",
        *CPU,
    )
    result = pflbench(*command)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "7 of 7 runs are complete, on 7 leaderboards.",
        "To see them: pflbench leaderboard --results 'my results'",
        "To see the state of each cell: pflbench status --results 'my results'",
    ]


@pytest.mark.slow
def test_the_example_runs(pflbench: Call, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise DownloadError("no network")

    monkeypatch.setattr(sources, "download", refuse)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    example = Path(__file__).parents[2] / "examples" / "matrix.toml"
    text, changed = re.subn(
        r"^(rounds|local_steps) = .*", r"\1 = 1", example.read_text(), flags=re.M
    )
    assert changed == 2
    (folder / "short.toml").write_text(text.replace("seeds = [0, 1]", "seeds = [1]"))
    result = pflbench("run", "--matrix", "short.toml", "--quiet", *CPU)
    assert result.exit_code == 0, result.stderr
    cells = standing(pflbench, "--matrix", "short.toml")["cells"]
    assert len(cells) == 3 * 5 - 1
    assert {cell["state"] for cell in cells} == {"done"}
