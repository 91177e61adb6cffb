"""Runs among clients unlike each other: identity, data, what is stored, and the way back."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import pflbench
from pflbench import Federation
from pflbench.cli.main import main
from pflbench.errors import InputError, UnknownNameError
from pflbench.results import Store
from pflbench.runs import RunRequest, plan, resolved_data
from pflbench.runs.identity import identify
from pflbench_datasets import embedded

SHORT: dict[str, Any] = {
    "clients": 8,
    "rounds": 2,
    "eval_every": 1,
    "local_epochs": 1,
    "partition": "iid",
    "device": "cpu",
}


@pytest.fixture(scope="session")
def negatives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other real MNIST images than those of `digits`, white on black turned black on white."""
    pool = embedded.load("a test")
    path = tmp_path_factory.mktemp("negatives") / "negatives.npz"
    np.savez(path, x=255 - pool.train_x[1:4000:7, :, ::2, ::2], y=pool.train_y[1:4000:7])
    return path


def test_a_population_is_a_scenario_of_its_own(digits: str, negatives: Path) -> None:
    def cell(population: str | None) -> Any:
        return plan(RunRequest("local", digits, population=population, **SHORT)).cell

    plain, spelt = cell(None), plan(RunRequest("local", digits, **SHORT)).cell
    assert plain.id == spelt.id
    assert "population" not in plain.to_json()["scenario"]
    foreign = f"foreign(dataset=npz:{negatives}, share=0.25)"
    texts = [
        "permuted-labels",
        "permuted-labels(share=0.5)",
        "groups",
        "groups(change=turn)",
        foreign,
    ]
    cells = [plain, *map(cell, texts)]
    assert len({one.scenario.id for one in cells}) == len(cells)
    assert len({one.scenario.fingerprint for one in cells}) == len(cells)
    assert cell("permuted-labels(share=0.25)").id == cells[1].id
    stored = cells[-1].to_json()["scenario"]["population"]
    assert stored == {
        "name": "foreign",
        "parameters": {"dataset": "npz", "share": 0.25},
        "version": "",
    }


def test_where_the_other_data_lie_decides_nothing(
    digits: str, negatives: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "same.npz"
    elsewhere.write_bytes(negatives.read_bytes())
    other = tmp_path / "other.npz"
    with np.load(negatives) as arrays:
        np.savez(other, x=arrays["x"][:, :, ::-1].copy(), y=arrays["y"])
    one, same, another = (
        plan(RunRequest("local", digits, population=f"foreign(dataset=npz:{path})", **SHORT)).cell
        for path in (negatives, elsewhere, other)
    )
    assert one.id == same.id
    assert one.id != another.id


def test_foreign_clients_hold_the_other_datas_images(digits: str, negatives: Path) -> None:
    made = plan(
        RunRequest("local", digits, population=f"foreign(dataset=npz:{negatives})", **SHORT)
    ).federation
    with np.load(negatives) as arrays:
        known = {image.tobytes(): int(y) for image, y in zip(arrays["x"], arrays["y"], strict=True)}
    assert made.groups is not None
    assert made.groups.sum() == 2
    for split in ("train", "val", "test"):
        for i in range(8):
            x, y = made.split(split).client(i)  # type: ignore[arg-type]
            images = (x * 255).round().numpy().astype(np.uint8)
            labels = [known.get(image.tobytes()) for image in images]
            assert labels == (y.tolist() if made.groups[i] else [None] * len(labels))
    plain = plan(RunRequest("local", digits, **SHORT)).federation
    assert np.array_equal(plain.train.offsets, made.train.offsets)
    assert plain.fingerprint != made.fingerprint
    assert "2 of 8 clients by foreign(dataset=npz, share=0.25)" in made.source


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_a_run_stores_its_clients_and_its_command_repeats_it(
    engine: str, digits: str, negatives: Path, results: Path
) -> None:
    population = f"foreign(dataset=npz:{negatives}, share=0.4)"
    result = pflbench.run(
        "fedavg", digits, population=population, results=results, engine=engine, **SHORT
    )
    (run,) = Store(results).runs()
    assert run.typed_cell.to_json() == run.cell
    assert run.typed_cell.id == run.id == result.run_id
    clients, partition = run.table("clients"), run.table("partition")
    assert clients["client"].tolist() == list(range(8))
    assert clients["group"].sum() == 3
    counts = partition.pivot_table("samples", "client", ["split", "class"], aggfunc="sum")
    for split in ("train", "val", "test"):
        assert clients[split].tolist() == counts[split].sum(axis=1).tolist()
    own = counts["train"].to_numpy() / counts["train"].to_numpy().sum(axis=1, keepdims=True)
    pooled = counts["train"].to_numpy().sum(axis=0) / counts["train"].to_numpy().sum()
    assert clients["distance"].to_numpy() == pytest.approx(np.abs(own - pooled).sum(axis=1) / 2)
    # One coordinate a group: the five of the majority are 3/8·√2 from the mean, the others 5/8·√2.
    away = np.where(clients["group"] == 0, 3 / 8, 5 / 8) * np.sqrt(2)
    assert clients["coordinate_distance"].to_numpy() == pytest.approx(away)
    words = shlex.split(run.labels["command"])[1:]
    again = CliRunner().invoke(main, [*words, "--results", str(results), "--device", "cpu"])
    assert f"there already, run {run.id}" in again.stderr


def test_without_groups_and_coordinates_the_clients_are_stored_too(
    digits: str, results: Path
) -> None:
    pflbench.run("local", digits, results=results, **SHORT)
    (run,) = Store(results).runs()
    clients = run.table("clients")
    assert set(clients["group"]) == {-1}
    assert clients["coordinate_distance"].isna().all()


def test_a_federation_in_memory_takes_a_population(federation: Federation) -> None:
    short = {"rounds": 1, "device": "cpu", "local_epochs": 1}
    plain = pflbench.run("local", federation, **short)
    unlike = pflbench.run("local", federation, population="permuted-labels(share=0.4)", **short)
    assert plain.run_id != unlike.run_id
    assert federation.groups is None


@pytest.mark.slow
def test_label_permutations_hurt_those_who_average(digits: str) -> None:
    """What the population is for: a common model cannot serve clients with names of their own."""
    options = {
        **SHORT,
        "rounds": 20,
        "eval_every": 5,
        "local_epochs": 5,
        "batch_size": 10,
        "lr": 0.02,
        "population": "permuted-labels(share=0.5)",
    }
    local, fedavg = (pflbench.run(name, digits, **options) for name in ("local", "fedavg"))
    assert local.summary["test_accuracy"] > 0.4
    assert fedavg.summary["test_accuracy"] < local.summary["test_accuracy"] - 0.1


def test_refusals(digits: str, negatives: Path, tmp_path: Path) -> None:
    def refused(match: str, population: str, **more: Any) -> None:
        with pytest.raises(InputError, match=match):
            plan(RunRequest("local", digits, population=population, **{**SHORT, **more}))

    refused("population.*'permuted-label'", "permuted-label")
    refused("parameter of groups", "groups(share=0.1)")
    refused("not foreign", f"foreign(dataset={digits})")
    refused("data set", "foreign(dataset=no-such-data)")
    refused("needs a path", "foreign(dataset=npz)")
    divided = tmp_path / "divided"
    divided.mkdir()
    with np.load(negatives) as arrays:
        x, y = arrays["x"][:10], np.arange(10)
    splits = ("train", "val", "test")
    np.savez(divided / "0.npz", **{f"{p}_{s}": v for p, v in (("x", x), ("y", y)) for s in splits})
    refused("divided among clients already", f"foreign(dataset=npz:{divided})")
    colour = tmp_path / "colour.npz"
    np.savez(colour, x=np.zeros((50, 3, 14, 14), dtype=np.uint8), y=np.arange(50) % 10)
    refused(
        r"shape \(3, 14, 14\) and 10 classes, expected shape \(1, 14, 14\)",
        f"foreign(dataset=npz:{colour})",
    )
    with pytest.raises(UnknownNameError):
        plan(RunRequest("local", digits, population="group", **SHORT))
    result = CliRunner().invoke(
        main, ["run", "--algo", "local", "--dataset", digits, "--population", "group"]
    )
    assert result.exit_code == 2
    assert "Did you mean 'groups'?" in result.stderr


def test_a_runs_identity_needs_no_federation(
    digits: str, negatives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is worked out without a federation is what the federation turns out to be."""
    with np.load(negatives) as arrays:
        x, y = arrays["x"][:300], arrays["y"][:300]
    known = tmp_path / "known.npz"
    np.savez(known, x=x, y=y, client=np.arange(300) % 6)
    kinds = [
        RunRequest("local", digits, **SHORT),
        RunRequest("local", f"npz:{known}", rounds=1),
        RunRequest("local", digits, population="permuted-labels", new_clients=0.25, **SHORT),
        RunRequest("local", digits, population=f"foreign(dataset=npz:{negatives})", **SHORT),
    ]
    for request in kinds:
        planned = plan(request)
        scenario = planned.cell.scenario
        assert scenario.fingerprint == planned.federation.fingerprint
        assert scenario.clients == planned.federation.clients
    ids = [plan(request).cell.id for request in kinds]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a federation was made")

    monkeypatch.setattr(resolved_data, "build", refuse)
    monkeypatch.setattr(resolved_data, "populate", refuse)
    assert [identify(request).cell.id for request in kinds] == ids
