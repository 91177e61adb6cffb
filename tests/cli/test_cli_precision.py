"""`--precision` and `--chunk`: what they change, and where they are shown and kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from calling import SMALL, Call

from pflbench.engine.stacked import _train_chunk as train_chunk
from pflbench.results import Store, StoredRun


@pytest.fixture(autouse=True)
def _on_one_core(one_thread: None) -> None:
    """What is said of cores holds for any machine."""


def played(call: Call, folder: Path, data: str, *more: str, results: str = "results") -> StoredRun:
    """Run FedAvg; return the run that is new in the results folder."""
    store = Store(folder / results, create=True)
    before = {run.id for run in store.runs()}
    command = ("run", "--algo", "fedavg", "--dataset", data, *SMALL, "--results", results)
    result = call(*command, *more)
    assert result.exit_code == 0, result.stderr
    (run,) = (run for run in store.runs() if run.id not in before)
    return run


def losses(run: StoredRun) -> torch.Tensor:
    return torch.tensor(run.table("metrics")["loss"].to_numpy()).double()


def test_each_precision_is_a_run_of_its_own(pflbench: Call, folder: Path, data: str) -> None:
    plain = played(pflbench, folder, data)
    there = pflbench("run", "--algo", "fedavg", "--dataset", data, *SMALL, "--precision", "float32")
    assert f"there already, run {plain.id}" in there.stderr
    assert "precision" not in plain.cell["scenario"]
    mixed = played(pflbench, folder, data, "--precision", "bfloat16")
    double = played(pflbench, folder, data, "--precision", "float64")
    assert len({plain.id, mixed.id, double.id}) == 3
    assert mixed.cell["scenario"]["precision"] == "bfloat16"
    assert double.typed_cell.scenario.precision == "float64"
    for run in (plain, mixed, double):
        assert run.typed_cell.to_json() == run.cell
        assert run.typed_cell.id == run.id
    torch.testing.assert_close(losses(double), losses(plain), rtol=1e-4, atol=1e-4)
    assert not torch.equal(losses(double), losses(plain))
    torch.testing.assert_close(losses(mixed), losses(plain), rtol=0, atol=0.05)
    assert (losses(mixed) - losses(plain)).abs().max() > 1e-4
    assert double.summary["bytes_up"] > 1.9 * plain.summary["bytes_up"]
    assert mixed.summary["bytes_up"] == plain.summary["bytes_up"]


def test_the_precision_is_shown(pflbench: Call, folder: Path, data: str) -> None:
    command = ("run", "--algo", "fedavg", "--dataset", data, *SMALL)
    result = pflbench(*command, "--precision", "bfloat16")
    assert re.search(r"3 clients, cpu, bfloat16, engine stacked", result.stderr)
    assert "in bfloat16; evaluated" in " ".join(result.stdout.split())
    (mixed,) = Store(folder / "results").runs()
    assert "--precision bfloat16" in mixed.labels["command"]
    assert re.search(r"precision +bfloat16", pflbench("show", "run", mixed.id).stdout)
    plain = played(pflbench, folder, data)
    assert re.search(r"precision +float32", pflbench("show", "run", plain.id).stdout)
    assert "float32" not in pflbench("leaderboard").stdout
    assert pflbench("leaderboard").stdout.count("in bfloat16") == 1


@pytest.mark.parametrize("options", [(), ("--chunk", "2"), ("--engine", "sequential")])
def test_how_clients_are_shared_out_is_printed_and_kept(
    options: tuple[str, ...], pflbench: Call, folder: Path, data: str
) -> None:
    result = pflbench("run", "--algo", "fedavg", "--dataset", data, *SMALL, *options)
    assert result.exit_code == 0, result.stderr
    (run,) = Store(folder / "results").runs()
    engine, chunk = run.environment["engine"], run.environment["chunk"]
    assert run.environment["chunk_cores"] == 1
    if "sequential" in options:
        assert (engine, chunk) == ("sequential", 1)
        assert result.stderr.count("cpu, engine sequential on 1 core, run") == 1
    else:
        assert (engine, chunk) == ("stacked", 2 if options else 3)
        assert result.stderr.count(f"engine stacked, chunks of {chunk} rows on 1 core, run") == 1
    assert re.search(rf"chunk +{chunk}\n", pflbench("show", "run", run.id).stdout)


def test_the_chunk_decides_nothing(
    pflbench: Call, folder: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def watched(task: Any, work: Any, *rest: Any) -> Any:
        sizes.append(len(work.clients))
        return train_chunk(task, work, *rest)

    monkeypatch.setattr("pflbench.engine.stacked._train_chunk", watched)
    whole = played(pflbench, folder, data)
    assert set(sizes) == {3}
    sizes.clear()
    cut = played(pflbench, folder, data, "--chunk", "1", results="cut")
    assert set(sizes) == {1}
    assert cut.id == whole.id
    torch.testing.assert_close(losses(cut), losses(whole), rtol=1e-4, atol=1e-5)
