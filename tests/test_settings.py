"""The learning rate that every method may have of its own."""

import dataclasses
from pathlib import Path

import pytest
from small_federations import federation_of

import pflbench
from pflbench.analysis import boards
from pflbench.errors import InputError
from pflbench.results import Store
from pflbench.runs import RunRequest
from pflbench.runs.identity import identify
from pflbench.schema.plugins import installed
from pflbench.schema.settings import describe_settings, parse_settings
from pflbench.schema.specs import AlgorithmSpec


def spec(name: str) -> AlgorithmSpec:
    registry = installed()
    return registry.get(registry.algorithms, name)


def test_every_method_has_it() -> None:
    for method in installed().algorithms.specs():
        assert describe_settings(method)[-1].name == "local_lr"
        assert parse_settings(method, {"local_lr": "0.02"}).local_lr == 0.02
        assert parse_settings(method, {}).local_lr is None


@pytest.mark.parametrize(
    ("given", "message"),
    [({"local_lr": "0"}, "> 0"), ({"local_rl": "1"}, "local_lr"), ({"top": "1"}, "top_k")],
)
def test_what_is_wrong_is_said(given: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_settings(spec("fedora"), given)


def test_a_plugin_may_not_take_the_name() -> None:
    @dataclasses.dataclass(frozen=True)
    class Own:
        local_lr: float = 0.1

    with pytest.raises(ValueError, match="every method has one already"):
        AlgorithmSpec("mine", "", "m:C", "m:S", Own)


def test_the_rate_of_the_scenario_is_no_row_of_its_own() -> None:
    def algorithm(**parameters: float) -> dict[str, object]:
        request = RunRequest("fedavg", federation_of(), lr=0.05, parameters=parameters)
        return dict(identify(request).cell.algorithm.parameters)

    assert algorithm() == algorithm(local_lr=0.05) == {}
    assert algorithm(local_lr=0.02) == {"local_lr": 0.02}


def test_a_rate_of_its_own_trains_like_the_scenario_of_that_rate(tmp_path: Path) -> None:
    data = federation_of()
    common = {"rounds": 3, "eval_every": 1, "results": tmp_path / "results"}
    plain = pflbench.run("fedavg", data, lr=0.05, **common)
    own = pflbench.run("fedavg", data, lr=0.05, parameters={"local_lr": 0.2}, **common)
    like = pflbench.run("fedavg", data, lr=0.2, **common)
    assert own.metrics.equals(like.metrics)
    assert not own.metrics.equals(plain.metrics)
    made = boards(Store(tmp_path / "results").runs())
    labels = [{row.label for row in board.rows if row.run_ids} for board in made]
    assert max(labels, key=len) == {"fedavg", "fedavg(local_lr=0.2)"}
