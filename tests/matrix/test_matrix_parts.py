"""Parts of a matrix, and the options of a command line as another way to say it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pflbench.cli.grid_options import make_matrix
from pflbench.errors import InputError
from pflbench.experiments.grid import read_matrix
from pflbench.experiments.grid.keys import KEYS
from pflbench.experiments.grid.sharding import Shard
from pflbench.runs import RunRequest
from pflbench.runs.request import Numbers
from pflbench.schema.parameters import describe_parameters
from pflbench.schema.scenario_fields import ScenarioRequest

# Shards


@given(kinds=st.lists(st.sampled_from("abcde"), max_size=60), of=st.integers(1, 12))
def test_shards_have_every_cell_once_and_every_kind_evenly(kinds: list[str], of: int) -> None:
    cells = list(enumerate(kinds))
    parts = [Shard(i, of).pick(cells, kind=lambda cell: cell[1]) for i in range(1, of + 1)]
    assert sorted(cell for part in parts for cell in part) == cells
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert all(part == sorted(part) for part in parts)
    for kind in set(kinds):
        sizes = [Counter(k for _, k in part)[kind] for part in parts]
        assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("text", "shard"), [("1/1", (1, 1)), (" 3 / 8 ", (3, 8))])
def test_a_shard_is_read(text: str, shard: tuple[int, int]) -> None:
    assert Shard.read(text) == Shard(*shard)


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "-1/3", "1/3/4", "", "0/0"])
def test_a_shard_that_is_none(text: str) -> None:
    with pytest.raises(InputError, match=r"expected I/N with I from 1 to N, such as 2/8\."):
        Shard.read(text)


# File and options

METHODS = ["local", "fedavg", "fedprox(mu=0.1)", "fedprox(mu=1)", "fedora(top_k=3, alpha=0.5)"]
PARTITIONS = ["iid", "dirichlet(alpha=0.1)", "pathological(classes_per_client=2)"]


def some(values: list[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=4)


@st.composite
def scenarios(draw: st.DrawFn) -> dict[str, Any]:
    """Return single values of a scenario, as the command line has them."""
    choices: dict[str, st.SearchStrategy[Any]] = {
        "clients": st.integers(1, 200),
        "population": st.sampled_from(["permuted-labels(share=0.25)", "groups"]),
        "model": st.sampled_from(["mlp", "mlp(hidden=64)"]),
        "rounds": st.integers(20, 500),
        "batch_size": st.integers(1, 256),
        "lr": st.floats(1e-6, 10),
        "momentum": st.floats(0, 0.999),
        "weight_decay": st.floats(0, 1),
        "participation": st.one_of(st.floats(0.01, 1), st.sampled_from(["dropout(p=0.2)", 1])),
        "eval_every": st.integers(1, 20),
        "privacy": st.just("gaussian(clip=1, noise=1)"),
    }
    said = draw(st.fixed_dictionaries({}, optional=choices))
    if draw(st.booleans()):
        said[draw(st.sampled_from(["local_epochs", "local_steps"]))] = draw(st.integers(1, 9))
    if draw(st.booleans()):
        said |= {"new_clients": draw(st.floats(0.1, 0.9)), "onboarding_steps": 10}
        said |= {"shots": "1,all", "onboard_at": "5,10"}
    return said


@settings(max_examples=60)
@given(
    methods=some(METHODS),
    data=some(["mnist", "fashion-mnist", "cifar10"]),
    partitions=st.one_of(st.just([]), some(PARTITIONS)),
    seeds=some([0, 1, 2, 3, 40]),
    scenario=scenarios(),
)
def test_a_file_and_options_that_say_the_same_are_the_same_cells(
    methods: list[str],
    data: list[str],
    partitions: list[str],
    seeds: list[int],
    scenario: dict[str, Any],
) -> None:
    from_options = make_matrix(
        algorithms=methods,
        dataset=[",".join(data)],
        partition=partitions,
        seeds=[str(seed) for seed in seeds],
        settings=[],
        **{key: scenario.get(key) for key in KEYS if key not in ("dataset", "partition")},
    )
    table = {**scenario, "dataset": data, **({"partition": partitions} if partitions else {})}
    lines = [f"methods = {json.dumps(methods)}", f"seeds = {json.dumps(seeds)}", "[scenario]"]
    lines += [f"{key.replace('_', '-')} = {json.dumps(value)}" for key, value in table.items()]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "matrix.toml"
        path.write_text("\n".join(lines), "utf-8")
        from_file = read_matrix(path)
    assert from_file == from_options
    requests = from_file.requests(device="cpu")
    assert requests == from_options.requests(device="cpu")
    assert len(requests) == (
        len(set(methods)) * len(set(data)) * max(1, len(set(partitions))) * len(set(seeds))
    )
    expected = {k: v for k, v in scenario.items() if k not in ("shots", "onboard_at")}
    for request in requests:
        assert {key: getattr(request, key) for key in expected} == expected


# Keys


def test_the_keys_are_the_scenario_of_a_request() -> None:
    machine = {
        "algorithm",
        "parameters",
        "seed",
        "data_dir",
        "fallback",
        "device",
        "engine",
        "chunk",
        "rerun",
        "metrics",
        "observers",
        "keep_models",
        "keep_predictions",
    }
    assert set(KEYS) == set(RunRequest.__dataclass_fields__) - machine


def test_the_bounds_are_those_of_a_request() -> None:
    ours = {info.name: info.bounds for info in describe_parameters(ScenarioRequest)}
    for info in describe_parameters(Numbers):
        if info.name != "seed":
            assert ours[info.name] == info.bounds, info.name
