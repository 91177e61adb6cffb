"""What cannot be done is said before anything is started or written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pflbench
from pflbench import Federation, ModelSpec
from pflbench.errors import InputError, UnknownNameError


def refused(results: Path, algorithm: str, dataset: Any, **options: Any) -> str:
    with pytest.raises(InputError) as error:
        pflbench.run(algorithm, dataset, results=results, **options)
    assert not results.exists(), "something was written"
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("rounds", [0, -1, 1.5, "many", None.__class__]),
        ("local_epochs", [0, -3, 0.5]),
        ("local_steps", [0, -1]),
        ("batch_size", [0, -64, 2.5]),
        ("lr", [0, -0.1, float("nan"), float("inf"), "fast"]),
        ("momentum", [-0.1, 1, 1.5, float("nan")]),
        ("weight_decay", [-1e-9, float("inf")]),
        ("participation", [0, -0.5, 1.01, float("nan")]),
        ("eval_every", [0, -1]),
        ("seed", [-1, 0.5, "x"]),
        ("clients", [0, -1, 4, 6]),  # the federation has 5
    ],
)
def test_numbers_out_of_bounds(
    name: str, values: list[Any], federation: Federation, results: Path
) -> None:
    for value in values:
        message = refused(results, "fedavg", federation, **{name: value})
        assert name in message


@pytest.mark.parametrize(
    ("algorithm", "parameters"),
    [
        ("fedora", {"alpha": 1}),
        ("fedora", {"alpha": -0.1}),
        ("fedora", {"top_k": 0}),
        ("fedora", {"subspace_dim": 0}),
        ("fedora", {"temperature": 0}),
        ("fedora", {"top_k": "two"}),
        ("fedprox", {"mu": -1}),
        ("fedavg-ft", {"epochs": 0}),
        ("pfedhn", {"lr": 0}),
        ("pfedhn", {"embedding_lr": 0}),
        ("pfedhn", {"embedding_dim": 0}),
        ("pfedhn", {"hidden": 0}),
        ("pfedhn", {"n_hidden": -1}),
        ("pfedhn", {"clip_norm": 0}),
        ("pfedhn", {"momentum": 1}),
        ("pfedhn-pc", {"weight_decay": -1}),
        ("pfedhn", {"spectral_norm": "perhaps"}),
    ],
)
def test_parameters_out_of_bounds(
    algorithm: str, parameters: dict[str, Any], federation: Federation, results: Path
) -> None:
    message = refused(results, algorithm, federation, parameters=parameters)
    assert next(iter(parameters)) in message


@pytest.mark.parametrize(
    ("options", "near"),
    [
        ({"algorithm": "fedorra"}, "fedora"),
        ({"dataset": "mnits"}, "mnist"),
        ({"model": "mpl"}, "mlp"),
        ({"model": "mlp(hiden=3)"}, "hidden"),
        ({"partition": "dirichle"}, "dirichlet"),
        ({"partition": "dirichlet(alfa=1)"}, "alpha"),
        ({"parameters": {"alhpa": 0.5}}, "alpha"),
        ({"engine": "staked"}, "stacked"),
        ({"rerun": "allways"}, "always"),
    ],
)
def test_unknown_names(options: dict[str, Any], near: str, digits: str, results: Path) -> None:
    chosen = {"algorithm": "fedora", "dataset": digits, **options}
    with pytest.raises(UnknownNameError, match=f"Did you mean '{near}'"):
        pflbench.run(results=results, **chosen)
    assert not results.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"local_epochs": 1, "local_steps": 1}, "one of them"),
        ({"device": "cuda:99"}, "not there"),
        ({"device": "abacus"}, "not there"),
        ({"clients": 100_000}, "clients"),
        ({"partition": "dirichlet(alpha=0)"}, "alpha"),
        ({"model": "lenet(kernels=0)"}, "kernels"),
        ({"model": "lenet"}, "16×16"),  # the digits are 14×14
        ({"dataset": "npz"}, "PATH"),
        ({"dataset": "mnist:here"}, "takes no path"),
        ({"dataset": "npz:nowhere.npz"}, "nowhere.npz"),
    ],
)
def test_what_cannot_be(options: dict[str, Any], words: str, digits: str, results: Path) -> None:
    chosen = {"algorithm": "fedora", "dataset": digits, **options}
    assert words in refused(results, **chosen)


def test_a_federation_in_memory_is_not_partitioned(federation: Federation, results: Path) -> None:
    assert "partition" in refused(results, "fedavg", federation, partition="iid")


@pytest.mark.parametrize("client", ["no_such_module:Client", "faulty_plugins:NoSuchClass"])
def test_code_that_cannot_be_imported(
    client: str, algorithm: Callable[..., str], federation: Federation, results: Path
) -> None:
    message = refused(results, algorithm(client), federation)
    assert "'in-test'" in message


@pytest.mark.parametrize(
    ("build", "words"), [("batch_statistics", "BatchNorm1d"), ("nothing", "cannot be imported")]
)
def test_networks_that_rows_cannot_carry(
    build: str, words: str, plugin: Callable[..., None], federation: Federation, results: Path
) -> None:
    spec = ModelSpec("odd", "of a test", build=f"faulty_plugins:build_with_{build}", head="2.")
    plugin(models=[spec])
    assert words in refused(results, "fedavg", federation, model="odd", rounds=2)


def test_a_results_folder_that_is_none(federation: Federation, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match="not a results folder"):
        pflbench.run("fedavg", federation, results=tmp_path, rounds=1)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_data_folder_may_be_text(tmp_path: Path, results: Path) -> None:
    message = refused(results, "fedavg", "mnist", data_dir=str(tmp_path / "nowhere"))
    assert "nowhere" in message


def test_the_environment_may_name_the_data_folder(
    tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PFLBENCH_DATA", str(tmp_path / "nowhere"))
    assert "nowhere" in refused(results, "fedavg", "mnist")
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PFLBENCH_DATA", str(tmp_path / "empty"))
    message = refused(results, "fedavg", "mnist", data_dir=tmp_path / "elsewhere")
    assert "elsewhere" in message


@pytest.mark.parametrize(
    "wrong",
    [
        {"algorithm": 7},
        {"dataset": None},
        {"dataset": 3},
        {"model": 5},
        {"partition": ["iid"]},
        {"parameters": [1]},
        {"device": 0},
        {"engine": None},
    ],
)
def test_arguments_of_another_type(
    wrong: dict[str, Any], federation: Federation, results: Path
) -> None:
    asked = {"algorithm": "fedavg", "dataset": federation, **wrong}
    (name,) = wrong
    assert refused(results, **asked).startswith(f"{name} = ")
