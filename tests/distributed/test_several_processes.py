"""One run in two processes: the numbers of one process, and an end in any case."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from other_processes import own_words
from starting import Start, StartTwo

import pflbench
from pflbench.cli.main import main
from pflbench.engine.sharded import shares
from pflbench.results import Store, StoredRun

TIMINGS = ["client_seconds", "server_seconds", "evaluate_seconds", "peak_memory_bytes"]
OPTIONS: dict[str, Any] = {
    "clients": 5,
    "rounds": 4,
    "eval_every": 2,
    "local_epochs": 1,
    "batch_size": 16,
    "device": "cpu",
    "model": "mlp(hidden=16)",
}
CHURN = [
    "dropout(p=0.6)",
    "stragglers(share=0.6, work=0.3)",
    "join(at=3, share=0.8)",
    "leave(at=3, share=0.8, forget=true)",
    "dropout(p=1)",
]
COMMAND = [
    "--clients",
    "5",
    "--rounds",
    "4",
    "--eval-every",
    "2",
    "--local-epochs",
    "1",
    "--batch-size",
    "16",
    "--device",
    "cpu",
    "--model",
    "mlp(hidden=16)",
]


def runs(results: Path) -> dict[str, StoredRun]:
    return {run.id: run for run in Store(results).runs()}


def by_method(results: Path) -> dict[str, StoredRun]:
    return {run.cell["algorithm"]["name"]: run for run in Store(results).runs()}


def assert_equal_runs(one: StoredRun, two: StoredRun, *, exact: bool = True) -> None:
    assert (one.id, one.status, two.status) == (two.id, "complete", "complete")
    for name in ("metrics", "rounds", "messages", "partition", "participation"):
        drop = TIMINGS if name == "rounds" else []
        a, b = (run.table(name).drop(columns=drop) for run in (one, two))
        if exact or name in ("messages", "partition", "participation"):
            pd.testing.assert_frame_equal(a, b, check_exact=True)
            continue
        pd.testing.assert_frame_equal(
            a.drop(columns="correct", errors="ignore"),
            b.drop(columns="correct", errors="ignore"),
            rtol=1e-3,
            atol=1e-4,
        )
        if "correct" in a:  # rounding may turn a sample that lies between two classes
            assert (a["correct"] - b["correct"]).abs().max() <= 1


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one(folder: Path, data: str, torchrun: Start) -> None:
    """With every client, an odd cohort, fewer clients than processes, and with churn."""
    chosen = [
        *itertools.product(
            ["sequential"], [1.0, 0.6, 0.2], ["fedavg", "fedora", "fedavg-ft", "local"]
        ),
        *itertools.product(["stacked"], [1.0, 0.6], ["fedavg", "fedora"]),
        ("sequential", 0.6, "pfedhn"),
        *itertools.product(["sequential"], CHURN, ["fedora", "pfedhn"]),
        *itertools.product(["stacked"], CHURN[:2], ["fedavg"]),
    ]
    cells = [
        (engine, method, {**OPTIONS, "engine": engine, "participation": participation})
        for engine, participation, method in chosen
    ]
    protected = {**OPTIONS, "engine": "sequential", "privacy": "gaussian(noise=0.3)"}
    cells.append(("sequential", "fedora", protected))
    script = str(Path(__file__).with_name("shared_runs.py"))
    done = torchrun(script, data, str(folder), json.dumps(cells))
    assert done.returncode == 0, done.stderr
    for engine, method, options in cells:
        pflbench.run(method, data, results=folder / "one" / engine, **options)
    for engine in ("sequential", "stacked"):
        one, two = runs(folder / "one" / engine), runs(folder / engine)
        assert one.keys() == two.keys()
        assert len(one) == [c[0] for c in cells].count(engine)
        for run_id, run in two.items():
            assert_equal_runs(one[run_id], run, exact=engine == "sequential")
            assert run.environment["processes"] == 2
            assert run.environment["threads"] == 1
            assert one[run_id].environment["processes"] == 1
    first, second = (json.loads((folder / f"told-{r}.json").read_text()) for r in (0, 1))
    assert first["runs"] == second["runs"]
    # Each round moves the second process's server by 0.001, which it forgets when they align.
    assert first["drift"] == 0
    assert second["drift"] < 0.0025


@pytest.mark.slow
def test_the_command_line_speaks_with_one_voice(folder: Path, data: str, torchrun: Start) -> None:
    odd = {**OPTIONS, "participation": 0.6, "engine": "sequential"}
    results = folder / "results"
    there = pflbench.run("fedavg", data, results=results, **odd)
    written = (results / "runs" / there.run_id / "summary.json").stat().st_mtime_ns
    command = ["run", "--algo", "fedavg,fedora", "--dataset", data, *COMMAND]
    command += ["--participation", "0.6", "--engine", "sequential"]
    done = torchrun("-m", "pflbench", *command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Meaning of the columns") == 1
    assert done.stderr.count("fedavg on npz:points.npz, seed 0: there already") == 1
    assert done.stderr.count("fedora on npz:points.npz, seed 0: 4 rounds") == 1
    assert "2 processes, engine sequential" in done.stderr
    assert done.stderr.count("round 4/4") == 1
    assert "all_gather" not in done.stderr, "the exchange uses what PyTorch deprecates"
    assert (results / "runs" / there.run_id / "summary.json").stat().st_mtime_ns == written
    pflbench.run("fedora", data, results=folder / "one", **odd)
    stored = by_method(results)
    assert stored.keys() == {"fedavg", "fedora"}
    assert_equal_runs(by_method(folder / "one")["fedora"], stored["fedora"])
    assert [p.name for p in folder.rglob("*.holder")] == []


@pytest.mark.slow
def test_what_one_process_cannot_do_ends_in_both(folder: Path, data: str, two: StartTwo) -> None:
    methods = "raises,raises-first,out-of-step,diverges,fedavg"
    first, second = two("run", "--algo", methods, "--dataset", data, *COMMAND, "--quiet")
    assert (first.returncode, second.returncode) == (1, 1)
    assert (own_words(second.stdout), own_words(second.stderr)) == ("", "")
    problems = [line.split(", seed 0: ")[1] for line in own_words(first.stderr).splitlines()]
    assert problems[0].startswith("Process 1 of 2 (on ")
    assert problems[0].endswith(" failed: ZeroDivisionError: a bug in a plugin.")
    assert "failed: LookupError: no such client" in problems[1]
    assert problems[2].startswith("The processes are no longer in step")
    assert problems[3].startswith("The training loss of client 0 became NaN or infinite")
    stored = by_method(folder / "results")
    assert {name: run.status for name, run in stored.items()} == {
        "raises": "failed",
        "raises-first": "failed",
        "out-of-step": "unfinished",
        "diverges": "failed",
        "fedavg": "complete",
    }
    assert stored["raises"].failure["error"] == "ZeroDivisionError"
    assert stored["raises-first"].failure["round"] == 2
    assert stored["diverges"].failure["error"] == "DivergedError"


@pytest.mark.slow
def test_interrupted_killed_and_taken_up_again(
    folder: Path, data: str, two: StartTwo, torchrun: Start
) -> None:
    command = ["run", "--algo", "stops", "--dataset", data, *COMMAND, "--rounds", "6"]
    command += ["--participation", "0.6", "--engine", "sequential"]
    first, second = two(*command, STOP="SIGINT:2")
    assert (first.returncode, second.returncode) == (130, 130)
    assert "Interrupted" in first.stderr
    assert own_words(second.stderr) == ""
    (stopped,) = runs(folder / "results").values()
    assert stopped.status == "unfinished"
    first, second = two(*command, STOP="SIGKILL:4")
    assert "resuming after round 2" in first.stderr
    assert (first.returncode, second.returncode) == (1, -9)
    assert "Process 0 of 2 lost the others" in first.stderr
    done = torchrun("-m", "pflbench", *command)
    assert done.returncode == 0, done.stderr
    assert "resuming after round 4" in done.stderr
    alone = CliRunner().invoke(main, [*[c.replace("stops", "fedavg") for c in command]])
    assert alone.exit_code == 0, alone.stderr
    stored = by_method(folder / "results")
    fedavg, resumed = stored["fedavg"], stored["stops"]
    for name in ("metrics", "messages"):  # the method is FedAvg, but for what stops it
        pd.testing.assert_frame_equal(fedavg.table(name), resumed.table(name), check_exact=True)
    assert resumed.summary["test_accuracy"] == fedavg.summary["test_accuracy"]
    assert len(resumed.environment["earlier"]) == 2


@pytest.mark.slow
def test_processes_with_other_data_do_not_start(folder: Path, data: str, two: StartTwo) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    points = dict(np.load(folder / "points.npz"))
    np.savez(elsewhere / "points.npz", x=points["x"] + 1, y=points["y"])
    first, second = two("run", "--algo", "fedavg", "--dataset", data, *COMMAND, second=elsewhere)
    assert (first.returncode, second.returncode) == (2, 2)
    assert "each process needs the same command, data and plugins" in first.stderr
    assert own_words(second.stderr) == ""
    assert not list(folder.rglob("results"))


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORLD_SIZE": "2"}, "RANK is not set"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "MASTER_ADDR is not set"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE=two is not valid"),
    ],
)
def test_half_an_environment_is_refused(
    variables: dict[str, str], message: str, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(main, ["run", "--algo", "fedavg", "--dataset", data])
    assert done.exit_code == 2
    assert message in done.stderr


@given(st.lists(st.integers(1, 100), min_size=1, max_size=40), st.integers(1, 8))
def test_shares_are_contiguous_and_balanced(weights: list[int], count: int) -> None:
    bounds = shares(weights, count)
    assert bounds[0] == 0
    assert bounds[-1] == len(weights)
    assert len(bounds) == count + 1
    parts = [weights[a:b] for a, b in itertools.pairwise(bounds)]
    assert list(itertools.chain(*parts)) == weights
    assert max(map(sum, parts)) <= sum(weights) / count + max(weights)
