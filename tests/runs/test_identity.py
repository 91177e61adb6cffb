"""Run ids: equal for what gives equal numbers, different for all else."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from small_federations import arrays_of, federation_of

from pflbench import AlgorithmSpec, Federation
from pflbench.cli.main import main
from pflbench.results import Store
from pflbench.runs import PlannedRun, RunRequest, plan


def planned(algorithm: str = "fedora", dataset: Any = None, **options: Any) -> PlannedRun:
    dataset = federation_of() if dataset is None else dataset
    return plan(RunRequest(algorithm, dataset, **options))


def test_a_run_id_is_of_twelve_hex_digits_and_stays() -> None:
    one, other = planned(), planned()
    assert one.cell.id == other.cell.id
    assert len(one.cell.id) == 12
    assert int(one.cell.id, 16) >= 0


SAME: dict[str, dict[str, Any]] = {
    "defaults written out": {
        "rounds": 100,
        "local_epochs": 1,
        "batch_size": 64,
        "lr": 5e-3,
        "momentum": 0.9,
        "weight_decay": 5e-5,
        "participation": 1,
        "eval_every": 10,
        "seed": 0,
        "clients": 5,
        "model": "mlp(layers=2, hidden=128)",
        "parameters": {"alpha": 0.8, "top_k": "2", "similarity": "subspace"},
    },
    "engine": {"engine": "sequential"},
    "chunk": {"chunk": 2},
    "the default precision": {"precision": "float32"},
    "device": {"device": "cpu"},
    "rerun": {"rerun": "always"},
    "data folder": {"data_dir": Path("nowhere")},
    "fallback": {"fallback": False},
    "texts": {"lr": "0.005", "seed": "0", "rounds": "100"},
}


@pytest.mark.parametrize("options", SAME.values(), ids=SAME)
def test_what_decides_no_number_is_not_in_it(options: dict[str, Any]) -> None:
    assert planned(**options).cell.id == planned().cell.id


DIFFERENT: list[dict[str, Any]] = [
    {"algorithm": "fedavg"},
    {"rounds": 99},
    {"local_epochs": 2},
    {"local_steps": 1},
    {"batch_size": 63},
    {"lr": 0.0051},
    {"momentum": 0.0},
    {"weight_decay": 0.0},
    {"participation": 0.8},
    {"eval_every": 9},
    {"precision": "bfloat16"},
    {"precision": "float64"},
    {"seed": 1},
    {"model": "mlp(hidden=127)"},
    {"parameters": {"alpha": 0.81}},
    {"parameters": {"top_k": 3}},
    {"parameters": {"similarity": "gradient"}},
    {"dataset": federation_of(seed=1)},
    {"dataset": federation_of((5, 12, 1, 20, 9))},
    {"dataset": Federation.from_arrays(arrays_of(), 4)},
]


def test_whatever_decides_the_numbers_is_in_it() -> None:
    ids = [planned(**options).cell.id for options in [{}, *DIFFERENT]]
    assert len(set(ids)) == len(ids)


def test_one_label_changes_it() -> None:
    clients = arrays_of()
    before = Federation.from_arrays(clients, 3).fingerprint
    clients[4]["test_y"] = (clients[4]["test_y"] + 1) % 3
    assert Federation.from_arrays(clients, 3).fingerprint != before


def test_a_methods_version_changes_it(plugin: Callable[..., None]) -> None:
    ids = set()
    for version in ("1", "2"):
        halves = {"client": "pflbench.method:Client", "server": "pflbench.method:AveragingServer"}
        plugin(algorithms=[AlgorithmSpec("in-test", "of a test", version=version, **halves)])
        ids.add(planned("in-test").cell.id)
    assert len(ids) == 2


def test_partitions_change_it(digits: str) -> None:
    written = [
        "iid",
        "dirichlet(alpha=0.5)",
        "dirichlet(alpha=0.6)",
        "quantity",
        "pathological(classes_per_client=2)",
        "pathological(classes_per_client=3)",
    ]
    ids = {planned(dataset=digits, partition=p, clients=4).cell.id for p in written}
    assert len(ids) == len(written)
    by_default = planned(dataset=digits).cell.id
    assert by_default == planned(dataset=digits, partition="dirichlet", clients=10).cell.id
    assert by_default != planned(dataset=digits, clients=9).cell.id


def test_the_path_of_the_data_is_not_in_it(digits_file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "named otherwise.npz"
    copy.parent.mkdir()
    shutil.copy(digits_file, copy)
    one, other = (planned(dataset=f"npz:{p}") for p in (digits_file, copy))
    assert one.cell.id == other.cell.id
    assert str(tmp_path) not in str(other.cell.to_json())
    with np.load(copy, allow_pickle=False) as arrays:
        x, y = arrays["x"].copy(), arrays["y"]
    x[0, 0] ^= 1  # one bit a pixel of one row
    np.savez(copy, x=x, y=y)
    assert planned(dataset=f"npz:{copy}").cell.id != one.cell.id


def test_scenarios_are_shared_by_methods_and_seeds() -> None:
    ids = {
        planned("fedora").cell.scenario.id,
        planned("local").cell.scenario.id,
        planned("fedora", parameters={"alpha": 0.1}, seed=7).cell.scenario.id,
    }
    assert len(ids) == 1
    assert planned("fedora", rounds=5).cell.scenario.id not in ids


COMMANDS: list[dict[str, Any]] = [
    {"algorithm": "fedora", "parameters": {"alpha": 1e-5, "top_k": 3, "temperature": 2.5}},
    {"algorithm": "fedavg", "model": "mlp(hidden=7, layers=1)", "lr": 1e-7, "seed": 12345},
    {"algorithm": "local", "local_steps": 3, "momentum": 0, "weight_decay": 0},
    {"algorithm": "fedprox", "participation": 0.3, "batch_size": 5, "eval_every": 1},
    {"algorithm": "pfedhn", "parameters": {"spectral_norm": True, "embedding_lr": 0.1}},
    {"algorithm": "fedavg", "precision": "bfloat16"},
    {"algorithm": "local", "precision": "float64"},
    {"algorithm": "fedora", "parameters": {"similarity": "mean-covariance", "subspace_dim": 2}},
    {"algorithm": "pfedhn-pc", "parameters": {"embedding_dim": 3, "hidden": 9, "n_hidden": 0}},
    {"algorithm": "fedavg-ft", "partition": "pathological(classes_per_client=3)"},
    {"algorithm": "fedavg", "partition": "quantity(alpha=1e-1)", "local_epochs": 2},
    {"algorithm": "fedavg", "partition": "rotated(step=22.5, train=9, val=3, test=none)"},
]


@pytest.mark.mostly_slow("[pfedhn]", "fedora0", "fedavg1", "local0")
@pytest.mark.parametrize("options", COMMANDS, ids=lambda o: o["algorithm"])
def test_the_command_runs_the_same_cell(
    options: dict[str, Any], digits_file: Path, tmp_path: Path, results: Path
) -> None:
    file = tmp_path / "it's a file with blanks.npz"
    shutil.copy(digits_file, file)
    run = planned(dataset=f"npz:{file}", clients=4, rounds=1, **options)
    words = shlex.split(run.command)
    assert words[:2] == ["pflbench", "run"]
    shown = CliRunner().invoke(main, [*words[1:], "--results", str(results)])
    assert shown.exit_code == 0, shown.output
    (stored,) = Store(results).runs()
    assert stored.id == run.cell.id
    assert stored.labels["command"] == run.command
