"""What a run refuses before it trains, a rehearsal, every part and the status say likewise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calling import Call, files

BOTH = """methods = ["local", {other}]
seeds = [0, 1]
[scenario]
dataset = "npz:points.npz"
rounds = 2
clients = 3
[[scenarios]]
[[scenarios]]
{impossible}
"""

CASES = {
    "more clients than samples": ("clients = 1000", '"fedavg"', "1,000 clients"),
    "more classes a client than there are": (
        "partition = 'pathological(classes_per_client=9)'",
        '"fedavg"',
        "9",
    ),
    "a network that does not fit": ("model = 'lenet'", '"fedavg"', "lenet"),
    "a shift of what is no image": ("partition = 'rotated(step=10)'", '"fedavg"', "image"),
    "too few to hold one out": ("clients = 1\nnew_clients = 0.5", '"fedavg"', "can hold none out"),
    "a minority of one": ("clients = 1\npopulation = 'groups'", '"fedavg"', "at least 2 clients"),
    "foreigners of another shape": (
        "population = 'foreign(dataset=npz:wide.npz)'",
        '"fedavg"',
        "cannot join",
    ),
    "relations that nobody knows": (
        "lr = 0.5",
        '"fedora(similarity=truth)"',
        "how its clients relate",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_run_refuses_is_refused_by_a_rehearsal_and_by_every_part(
    case: str, folder: Path, data: str, pflbench: Call
) -> None:
    import numpy as np

    impossible, other, words = CASES[case]
    np.savez(folder / "wide.npz", x=np.ones((60, 9), np.float32), y=np.arange(60) % 3)
    (folder / "m.toml").write_text(BOTH.format(impossible=impossible, other=other))
    before = files(folder)
    run = pflbench("run", "--matrix", "m.toml")
    assert run.exit_code == 2
    assert run.stderr.count("Error:") == 1
    assert words in run.stderr
    for more in (
        ["--dry-run"],
        ["--shard", "1/2"],
        ["--shard", "2/2"],
        ["--shard", "1/2", "--dry-run"],
    ):
        again = pflbench("run", "--matrix", "m.toml", *more)
        assert (again.exit_code, again.stderr) == (2, run.stderr)
    assert files(folder) == before

    said = pflbench("status", "--matrix", "m.toml")
    assert said.exit_code == 0
    sentence = run.stderr.partition("Error: ")[2].strip()
    assert sentence in " ".join(said.stdout.split())
    told = json.loads(pflbench("status", "--matrix", "m.toml", "--format", "json").stdout)
    reasons = {cell["reason"] for cell in told["cells"] if cell["state"] == "impossible"}
    assert sentence in reasons
    assert told["counts"]["impossible"] + told["counts"]["missing"] == 8
    assert 0 < told["counts"]["impossible"] < 8


@pytest.mark.slow
def test_complete_cells_are_not_looked_at_again(folder: Path, data: str, pflbench: Call) -> None:
    (folder / "m.toml").write_text(BOTH.format(impossible="lr = 0.1", other='"fedavg"'))
    assert pflbench("run", "--matrix", "m.toml").exit_code == 0
    counts = json.loads(pflbench("status", "--matrix", "m.toml", "--format", "json").stdout)
    assert counts["counts"]["done"] == 8


def test_tuning_refuses_before_any_trial(folder: Path, data: str, pflbench: Call) -> None:
    (folder / "m.toml").write_text(BOTH.format(impossible="clients = 1000", other='"fedavg"'))
    before = files(folder)
    done = pflbench("tune", "--matrix", "m.toml", "--trials", "2")
    assert done.exit_code == 2
    assert "1,000 clients" in done.stderr
    assert files(folder) == before


def test_an_executor_that_is_not_there_is_refused_by_a_rehearsal(
    folder: Path, data: str, pflbench: Call
) -> None:
    asked = ("run", "--algo", "local", "--dataset", data, "--executor", "here", "--jobs", "2")
    run = pflbench(*asked)
    assert run.exit_code == 2
    assert pflbench(*asked, "--dry-run").stderr == run.stderr
