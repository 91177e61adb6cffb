"""Stored runs are run again, and what is not as it was is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pflbench
from pflbench import Agreement, Federation
from pflbench.errors import DivergedError, InputError, WorkError
from pflbench.results import Store, StoredRun
from pflbench.runs.comparison import Difference

SMALL: dict[str, Any] = {
    "clients": 4,
    "rounds": 3,
    "eval_every": 2,
    "partition": "iid",
    "device": "cpu",
}


def kept(results: Path) -> StoredRun:
    (run,) = Store(results).runs()
    return run


def again(results: Path, **options: Any) -> Agreement:
    return pflbench.reproduce(kept(results).id[:6], results=results, **options)


def differences(agreement: Agreement) -> list[Difference]:
    return [difference for table in agreement.tables for difference in table.differences]


def edit(path: Path, **values: object) -> None:
    """Change values of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.mostly_slow("fedora")
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("fedora", {"engine": "sequential", "parameters": {"alpha": 0.7}}),
        ("pfedhn", {"chunk": 3, "participation": "dropout(p=0.3)"}),
        ("fedavg-ft", {"population": "permuted-labels(share=0.25)", "precision": "bfloat16"}),
        (
            "fedavg",
            {
                "new_clients": 0.25,
                "onboard_at": "1",
                "shots": "1",
                "onboarding_steps": 2,
                "local_steps": 3,
                "parameters": {"local_lr": 0.02},
            },
        ),
    ],
)
def test_a_run_agrees_bit_for_bit(
    digits: str, results: Path, method: str, options: dict[str, Any]
) -> None:
    pflbench.run(method, digits, results=results, **{**SMALL, **options})
    before = {p: p.read_bytes() for p in results.rglob("*") if p.is_file()}
    agreement = again(results)
    assert (agreement.agrees, agreement.exact, agreement.tolerance) == (True, True, None)
    assert agreement.verdict == "It agrees, bit for bit."
    compared = {table.table for table in agreement.tables}
    assert compared == {p.stem for p in kept(results).folder.glob("*.parquet")} | {"summary"}
    assert before == {p: p.read_bytes() for p in results.rglob("*") if p.is_file()}


def test_the_limit_of_a_chunk_is_the_stored_one(digits: str, results: Path, tmp_path: Path) -> None:
    """Smaller cohorts are cut by the limit too, not by what that made of the largest."""
    options = {**SMALL, "clients": 10, "participation": "dropout(p=0.5)", "engine": "stacked"}
    pflbench.run("fedavg", digits, results=results, chunk=7, **options)
    assert again(results, keep=tmp_path / "kept").exact
    for folder in (results, tmp_path / "kept"):
        assert kept(folder).environment["chunk_limit"] == 7
        assert kept(folder).environment["chunk"] == 5


def test_a_table_that_was_changed_is_told_with_its_place(digits: str, results: Path) -> None:
    pflbench.run("fedavg", digits, results=results, **SMALL)
    path = kept(results).folder / "metrics.parquet"
    table = pd.read_parquet(path)
    row = table.index[(table["round"] == 3) & (table.client == 2) & (table.split == "test")][0]
    table.loc[row, "correct"] -= 4
    table.loc[row, "loss"] = np.nextafter(table.loc[row, "loss"], np.float32(np.inf))
    table.to_parquet(path)
    agreement = again(results)
    assert not agreement.agrees
    count, loss = differences(agreement)
    assert (count.table, count.column, count.largest) == ("metrics", "correct", 4.0)
    assert count.where == loss.where == "round 3, client 2, split test, stage personal"
    assert int(count.here) == int(count.there) + 4
    assert 0 < loss.largest < 1e-5
    tolerant = again(results, tolerance=0.9)
    assert tolerant.agrees
    assert not tolerant.exact
    strict = again(results, tolerance=1e-3)  # three samples are always allowed, four are not
    assert [d.column for d in differences(strict) if not d.agrees] == ["correct"]


def test_rows_that_are_missing_are_told(digits: str, results: Path) -> None:
    pflbench.run("fedavg", digits, results=results, **SMALL)
    path = kept(results).folder / "rounds.parquet"
    pd.read_parquet(path).iloc[:-1].to_parquet(path)
    (found,) = differences(again(results, tolerance=0.5))
    assert (found.table, found.column, found.where) == ("rounds", "rows", "round 3")
    assert (found.here, found.there, found.agrees) == ("3 rows", "2 rows", False)


def test_a_changed_summary_differs(digits: str, results: Path) -> None:
    pflbench.run("fedavg", digits, results=results, **SMALL)
    edit(kept(results).folder / "summary.json", test_accuracy=0.99)
    (found,) = differences(again(results))
    assert (found.table, found.column, found.there) == ("summary", "test_accuracy", "0.99")


def test_another_machine_is_given_a_tolerance(digits: str, results: Path) -> None:
    pflbench.run("fedavg", digits, results=results, **SMALL)
    edit(kept(results).folder / "environment.json", processor="Another CPU")
    agreement = again(results)
    assert agreement.elsewhere == ("processor",)
    assert agreement.tolerance == 0.05
    assert agreement.verdict == "It agrees, bit for bit."


def test_other_data_are_told_before_anything_is_trained(digits: str, results: Path) -> None:
    pflbench.run("fedavg", digits, results=results, **SMALL)
    path = Path(digits.partition(":")[2])
    other = results.parent / "other.npz"
    with np.load(path) as arrays:
        np.savez(other, x=arrays["x"], y=np.roll(arrays["y"], 1))

    class Nobody(pflbench.runs.Observer):
        def started(self, info: object) -> None:
            raise AssertionError

    with pytest.raises(WorkError, match=r"not that of run .* Nothing was trained") as error:
        again(results, dataset=f"npz:{other}", observers=[Nobody()])
    fingerprint = kept(results).cell["scenario"]["fingerprint"]
    assert fingerprint[:12] in str(error.value)
    moved = results.parent / "moved.npz"
    shutil.copy(path, moved)
    edited = {**json.loads((kept(results).folder / "run.json").read_text())["labels"]}
    edit(kept(results).folder / "run.json", labels={**edited, "dataset": "npz:gone.npz"})
    with pytest.raises(InputError, match=r"gone\.npz"):
        again(results)
    assert again(results, dataset=f"npz:{moved}").exact


def test_a_failure_is_reproduced(digits: str, results: Path) -> None:
    with pytest.raises(DivergedError):
        pflbench.run("fedavg", digits, results=results, lr=1e30, **SMALL)
    agreement = again(results)
    assert agreement.agrees
    assert agreement.verdict == "It agrees, failure and all, bit for bit."
    assert agreement.failure_here.startswith("DivergedError, round 1, client 0, step ")
    edit(kept(results).folder / "failure.json", client=3)
    agreement = again(results)
    assert not agreement.agrees
    assert "client 0" in agreement.verdict
    assert "client 3" in agreement.verdict


def test_what_cannot_be_run_again_is_said(
    digits: str, results: Path, federation: Federation
) -> None:
    pflbench.run("fedavg", federation, results=results, rounds=1)
    with pytest.raises(InputError, match="in the memory of the program"):
        again(results)
    shutil.rmtree(results)
    pflbench.run("fedavg", digits, results=results, **SMALL)
    with pytest.raises(InputError, match="holds the run itself"):
        again(results, keep=results)
    (kept(results).folder / "summary.json").unlink()
    with pytest.raises(InputError, match="unfinished"):
        again(results)
    edit_failure = {"error": "WorkerDied", "message": "Its process died.", "round": None}
    (kept(results).folder / "failure.json").write_text(json.dumps(edit_failure))
    with pytest.raises(InputError, match=r"not what it computed failed: Its process died\."):
        again(results)


def test_a_plugin_that_is_missing_or_of_another_version_is_said(
    digits: str, results: Path, plugin: Callable[..., None]
) -> None:
    def brings(version: str) -> pflbench.AlgorithmSpec:
        return pflbench.AlgorithmSpec(
            name="mine",
            version=version,
            summary="A method.",
            client="pflbench.method:Client",
            server="pflbench.method:AveragingServer",
            parameters=pflbench.NoParameters,
        )

    plugin(algorithms=[brings("1")])
    pflbench.run("mine", digits, results=results, **SMALL)
    assert again(results).exact
    plugin(algorithms=[brings("2")])
    with pytest.raises(InputError, match="version 1 of the algorithm 'mine', and version 2"):
        again(results)
    plugin()
    with pytest.raises(InputError, match="its algorithm is missing"):
        again(results)


def test_the_new_run_can_be_kept(digits: str, results: Path, tmp_path: Path) -> None:
    pflbench.run("fedavg", digits, results=results, **SMALL)
    assert again(results, keep=tmp_path / "kept").exact
    assert kept(tmp_path / "kept").id == kept(results).id
    assert kept(tmp_path / "kept").status == "complete"
