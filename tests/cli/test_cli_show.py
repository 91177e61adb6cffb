"""`pflbench list`, `show` and `leaderboard`, and what is said of plugins that fail."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from calling import SMALL, Call, Process, files
from test_cli_bad_input import plugin

from pflbench.results import Store
from pflbench.schema.parameters import describe_parameters
from pflbench.schema.plugins import installed


def test_every_installed_name_is_listed_with_its_plugin(pflbench: Call) -> None:
    lines = pflbench("list").stdout.splitlines()
    for shelf in installed().shelves:
        for spec in shelf.specs():
            (line,) = [
                text for text in lines if text.split()[:1] in ([spec.name], [f"{spec.name}:PATH"])
            ]
            assert shelf.owner(spec.name) in line
            assert spec.summary in line


def test_lists_of_chosen_kinds(pflbench: Call) -> None:
    models = pflbench("list", "models").stdout
    assert "mlp" in models
    assert "fedora" not in models
    assert "No problems: every plugin could be used." in pflbench("list", "problems").stdout


@pytest.mark.parametrize(
    "name", [spec.name for shelf in installed().shelves for spec in shelf.specs()]
)
def test_every_plugin_can_be_shown(name: str, pflbench: Call) -> None:
    result = pflbench("show", name)
    assert result.exit_code == 0, result.stderr
    for shelf in installed().shelves:
        for spec in shelf.specs():
            if spec.name == name:
                assert spec.summary in result.stdout
                for info in (
                    describe_parameters(getattr(spec, "parameters", object))
                    if hasattr(spec, "parameters")
                    else []
                ):
                    (line,) = [
                        t for t in result.stdout.splitlines() if t.split()[:1] == [info.name]
                    ]
                    assert info.help in line
                    assert info.bounds in line
                    assert info.source in line
    assert pflbench("show", "plugin", name).stdout == result.stdout


def test_a_data_set_shows_its_reference_scenario(pflbench: Call) -> None:
    text = pflbench("show", "mnist").stdout
    assert "rotated(step=10)" in text
    assert any(line.split()[:2] == ["rounds", "500"] for line in text.splitlines())
    assert "--local-epochs" in text
    assert "--local-steps" not in text


def test_a_partition_is_shown_and_its_picture_saved(
    pflbench: Call, folder: Path, data: str
) -> None:
    result = pflbench(
        "show",
        "partition",
        "pathological(classes_per_client=2)",
        "--dataset",
        data,
        "--clients",
        "4",
        "--save",
        "skew.svg",
    )
    assert result.exit_code == 0, result.stderr
    (train,) = [line for line in result.stdout.splitlines() if line.split()[:1] == ["train"]]
    assert train.split()[1] == "4"
    assert train.split()[6:8] == ["2.0", "2.0"]
    assert "4 clients" in result.stdout
    assert b"<svg" in (folder / "skew.svg").read_bytes()
    refused = pflbench("show", "partition", "iid", "--dataset", data, "--save", "skew.txt")
    assert refused.exit_code == 2
    assert "skew.txt" in refused.stderr
    assert files(folder) == ["points.npz", "skew.svg"]


def test_runs_and_boards(pflbench: Call, folder: Path, data: str) -> None:
    common = ("--dataset", data, *SMALL)
    assert pflbench("run", "--algo", "local,fedavg,fedavg-ft", *common).exit_code == 0
    assert pflbench("run", "--algo", "local", *common, "--rounds", "2").exit_code == 0
    stored = Store(folder / "results").runs()
    shown = pflbench("show", "run", stored[0].id)
    assert f"run {stored[0].id}  complete" in shown.stdout
    assert stored[0].labels["command"] in shown.stdout
    several = pflbench("show", "run", "")
    assert several.exit_code == 2
    assert "Several runs begin with ''" in several.stderr
    assert "There is no run 'zz'" in pflbench("show", "run", "zz").stderr

    rows = list(csv.DictReader(io.StringIO(pflbench("leaderboard", "--format", "csv").stdout)))
    ran = sorted(row["method"] for row in rows if row["runs"])
    assert ran == ["fedavg", "fedavg-ft", "local", "local"]
    scenario = next(row["scenario"] for row in rows if row["method"] == "fedavg")
    for form, mark in (("text", "fedavg-ft"), ("markdown", "| "), ("latex", r"\begin{")):
        board = pflbench("leaderboard", "--format", form, "--scenario", scenario[:6])
        assert board.exit_code == 0, board.stderr
        assert mark in board.stdout
    one = pflbench("leaderboard", "--format", "csv", "--scenario", scenario).stdout
    assert len(list(csv.DictReader(io.StringIO(one)))) == 3
    assert pflbench("leaderboard", "--dataset", "npz").stdout == pflbench("leaderboard").stdout
    assert pflbench("leaderboard", "--dataset", data).exit_code == 0
    other = pflbench("leaderboard", "--dataset", "mnist")
    assert other.exit_code == 2
    assert "There is no data set with results 'mnist'" in other.stderr
    unknown = pflbench("leaderboard", "--scenario", "xyz")
    assert unknown.exit_code == 2
    assert "There is no scenario 'xyz'" in unknown.stderr


_CLUMSY = """
import pflbench

@pflbench.hookimpl
def pflbench_algorithms():
    return [
        pflbench.AlgorithmSpec(
            "clumsy", "Fails in training.", "clumsy_code:Clumsy", "pflbench.method:AveragingServer"
        ),
        pflbench.AlgorithmSpec(
            "absent", "Has no code.", "no_such_module:Client", "pflbench.method:AveragingServer"
        ),
    ]
"""

_CLUMSY_CODE = """
from pflbench import Client

class Clumsy(Client):
    def start(self, state, received, data):
        raise KeyError("weights")
"""


@pytest.mark.slow
def test_a_plugin_that_raises_is_named_and_debug_shows_where(
    process: Process, folder: Path, data: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    site = tmp_path_factory.mktemp("site")
    plugin(site, "clumsy", _CLUMSY)
    (site / "clumsy_code.py").write_text(_CLUMSY_CODE)
    command = ("run", "--algo", "clumsy,local", "--dataset", data, *SMALL)
    done = process(*command, path=site)
    assert done.returncode == 1
    assert (
        "The algorithm 'clumsy' (plugin clumsy:clumsy) failed: KeyError: 'weights'." in done.stderr
    )
    assert "Traceback" not in done.stderr
    assert "[2/2] local" in done.stderr
    told = process("run", "--algo", "clumsy", *command[3:], "--debug", path=site)
    assert told.returncode == 1
    assert "clumsy_code.py" in told.stderr
    assert "Traceback" in told.stderr
    before = files(folder)
    absent = process("run", "--algo", "absent", "--dataset", data, *SMALL, path=site)
    assert absent.returncode == 2
    assert "no_such_module" in absent.stderr
    assert files(folder) == before


def test_debug_is_asked_for_by_option_or_surroundings(
    pflbench: Call, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("run", "--algo", "local", "--dataset", data, *SMALL, "--lr", "1e30")
    assert "Traceback" not in pflbench(*command).stderr
    assert "Traceback" in pflbench(*command, "--debug").stderr
    monkeypatch.setenv("PFLBENCH_DEBUG", "1")
    assert "Traceback" in pflbench(*command).stderr
