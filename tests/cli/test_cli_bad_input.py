"""Bad input: one clear sentence on stderr, exit status 2, and nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from calling import SMALL, Call, Process, files
from other_processes import own_words

RUN = ("run", "--algo", "fedavg", "--dataset")


def refused(call: Call, folder: Path, *arguments: str) -> str:
    """Call a command that must be refused; return its sentence."""
    before = files(folder)
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert files(folder) == before
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert line.endswith(".") or line.endswith("?")
    return line.removeprefix("Error: ")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--algo", "feddora"], "There is no algorithm 'feddora'. Did you mean 'fedora'? Known: "),
        (["--algo", "fedavg,fedprix"], "Did you mean 'fedprox'?"),
        (["--algo", ","], "--algo is empty: expected at least one."),
        (["--algo", "fedavg("], "'fedavg(' is not an algorithm"),
        (["--set", "fedavg.x=1"], "There is no parameter of fedavg 'x'."),
        (["--set", "fedora.alpha=1"], "fedora is not among the algorithms of this command"),
        (["--set", "feddora.alpha=1"], "Did you mean 'fedora'?"),
        (["--set", "alpha=1"], "expected ALGORITHM.PARAMETER=VALUE such as fedora.alpha=0.7."),
        (["--algo", "fedora", "--set", "fedora.top_k=0"], "expected a whole number ≥ 1."),
        (["--algo", "fedora", "--set", "fedora.alpha=high"], "expected a number ≥ 0 and < 1."),
        (["--algo", "fedora(alpha=.1)", "--set", "fedora.alpha=.2"], "both in --algo and with"),
        (["--partition", "dirchlet"], "Did you mean 'dirichlet'?"),
        (["--partition", "dirichlet(alpha=0)"], "dirichlet.alpha = '0' is not valid"),
        (["--partition", "dirichlet(0.1)"], "parameter=value, as in dirichlet(alpha=0.1)."),
        (["--algo", "fedprox(0.1)"], "parameter=value, as in fedprox(mu=0.1)."),
        (["--algo", "fed prox"], "or name(parameter=value, ...) such as fedprox(mu=0.1)."),
        (["--partition", "iid(alpha=1)"], "There is no parameter of iid 'alpha'."),
        (["--partition", "natural"], "natural"),
        (["--model", "mpl"], "Did you mean 'mlp'?"),
        (["--model", "mlp(hidden=0)"], "mlp.hidden = '0' is not valid"),
        (["--clients", "0"], "--clients '0' is not valid: expected a whole number ≥ 1."),
        (["--clients", "100000"], "More clients than samples"),
        (["--rounds", "many"], "--rounds 'many' is not valid: expected a whole number ≥ 1."),
        (["--rounds", "1.5"], "--rounds '1.5' is not valid"),
        (["--lr", "nan"], "--lr 'nan' is not valid: expected a number > 0."),
        (["--momentum", "1"], "expected a number ≥ 0 and < 1."),
        (["--participation", "0"], "expected a number > 0 and ≤ 1."),
        (["--seed", "-1"], "--seed '-1' is not valid: expected a whole number ≥ 0."),
        (["--seed", "0,x"], "--seed 'x' is not valid"),
        (["--local-epochs", "1", "--local-steps", "1"], "exclude each other"),
        (["--device", "abacus"], "The device 'abacus' is not there."),
        (["--engine", "steam"], "'steam' is not one of"),
        (["--engine", "stakced"], "'sequential'. Did you mean 'stacked'?"),
        (["--rerun", "alwys"], "Did you mean 'always'?"),
        (["--executor", "procesess"], "Did you mean 'processes'?"),
        (["--population", "groups(change=trun)"], "one of labels, turn. Did you mean 'turn'?"),
        (["--precision", "flaot32"], "or float64. Did you mean 'float32'?"),
        (
            ["--precision", "half"],
            "--precision 'half' is not valid: expected float32, bfloat16 or float64.",
        ),
        (["--chunk", "0"], "--chunk '0' is not valid: expected a whole number ≥ 1."),
        (["--engine", "sequential", "--chunk", "2"], "A chunk of 2 is for the engine 'stacked'"),
        (["--no-such-option"], "No such option '--no-such-option'"),
        (["--results", "points.npz"], "points.npz is a file: expected a results folder."),
    ],
)
def test_a_run_that_cannot_be(
    arguments: list[str], expected: str, pflbench: Call, folder: Path, data: str
) -> None:
    given = ["run", "--dataset", data]
    given += [] if "--algo" in arguments else ["--algo", "fedavg"]
    assert expected in refused(pflbench, folder, *given, *arguments)


def test_a_data_set_that_cannot_be(pflbench: Call, folder: Path) -> None:
    def sentence(*arguments: str) -> str:
        return refused(pflbench, folder, *RUN, *arguments)

    (folder / "text.npz").write_text("not an archive")
    np.savez(folder / "short.npz", x=np.zeros((4, 2), np.float32), y=np.zeros(3, np.int64))
    (folder / "empty").mkdir()
    assert "Did you mean 'mnist'?" in sentence("minst")
    assert "needs a path" in sentence("npz")
    assert "nowhere.npz" in sentence("npz:nowhere.npz")
    assert "text.npz" in sentence("npz:text.npz")
    assert "short.npz" in sentence("npz:short.npz")
    assert "Missing option '--dataset'" in refused(pflbench, folder, "run", "--algo", "fedavg")
    raw = folder / "empty" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_bytes(b"\0" * 100)
    damaged = sentence("mnist", "--data-dir", "empty")
    assert "train-images-idx3-ubyte" in damaged


def test_one_bad_cell_of_a_matrix_stops_it_before_the_first(
    pflbench: Call, folder: Path, data: str
) -> None:
    partitions = "iid,dirichlet(alpha=0.5),pathological(classes_per_client=9)"
    sentence = refused(pflbench, folder, *RUN, data, "--partition", partitions, *SMALL)
    assert "classes" in sentence


def test_damaged_results(pflbench: Call, folder: Path, data: str) -> None:
    assert pflbench(*RUN, data, *SMALL).exit_code == 0
    (summary,) = folder.glob("results/runs/*/summary.json")
    summary.write_text("{")
    board = pflbench("leaderboard")
    assert board.exit_code == 0
    assert "is damaged (summary.json is damaged" in " ".join(board.stdout.split())
    assert pflbench(*RUN, data, *SMALL).exit_code == 0
    assert json.loads(summary.read_text())["rounds"]
    (folder / "results" / "pflbench.json").write_text(json.dumps({"format": "something else"}))
    assert "this is not a results folder" in refused(pflbench, folder, "leaderboard")
    assert "this is not a results folder" in refused(pflbench, folder, *RUN, data, *SMALL)
    (folder / "mine").mkdir()
    (folder / "mine" / "letter.txt").write_text("Dear")
    assert "mine is not a results folder" in refused(
        pflbench, folder, *RUN, data, "--results", "mine"
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["rnu"], "There is no command 'rnu'. Did you mean 'run'?"),
        (["show", "feddora"], "There is no plugin 'feddora'. Did you mean 'fedora'?"),
        (["show", "run", "abc"], "There is no results folder results."),
        (["list", "methods"], "'methods' is not one of 'algorithms'"),
        (["leaderboard"], "There is no results folder results."),
        (["list", "algorthms"], "Did you mean 'algorithms'?"),
        (["leaderboard", "--format", "pdf"], "'pdf' is not one of"),
        (["leaderboard", "--format", "cvs"], "Did you mean 'csv'?"),
        (["leaderboard", "--columns", "transfr"], "Did you mean 'transfer'?"),
        (["plot", "curvs"], "Did you mean 'curves'?"),
        (["show", "runn", "1f0c"], "There is no display 'runn'. Did you mean 'run'?"),
        (["show", "48e7"], "If it is a run's id: pflbench show run 48e7."),
        (["leaderboard", "--columns", "transfer", "--network", "lte"], "the columns 'cost'"),
        (["check", "feddora"], "Did you mean 'fedora'?"),
        (["check", "fedora", "--golden", "no.npz"], "no.npz"),
        (["check", "fedora", "--tolerance", "-1"], "expected a number ≥ 0."),
        (["new", "algorithm", "My Method"], "My Method"),
        (["new", "algorithm", "fedora"], "Algorithm 'fedora' already exists"),
    ],
)
def test_other_commands(arguments: list[str], expected: str, pflbench: Call, folder: Path) -> None:
    assert expected in refused(pflbench, folder, *arguments)


@pytest.mark.parametrize(
    "arguments", [["check", "quagga"], ["show", "quagga"], ["cite"], ["show", "zebra"]]
)
def test_a_name_that_is_near_nothing_gets_no_suggestion(
    arguments: list[str], pflbench: Call, folder: Path
) -> None:
    said = refused(pflbench, folder, *arguments)
    assert "Did you mean" not in said
    assert "Known: " in said


def test_a_path_in_the_place_of_a_data_set_is_shown_the_way(
    pflbench: Call, folder: Path, data: str
) -> None:
    said = refused(pflbench, folder, "run", "--algo", "local", "--dataset", "points.npz")
    assert "npz:points.npz" in said
    assert "imagefolder:a/b" in refused(pflbench, folder, *RUN, "a/b")


def plugin(site: Path, name: str, code: str) -> None:
    """Install a distribution with one plugin of the same name into a folder."""
    (site / f"{name}.py").write_text(code)
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[pflbench]\n{name} = {name}\n")


_TWIN = """
import pflbench

@pflbench.hookimpl
def pflbench_algorithms():
    return [pflbench.AlgorithmSpec("fedavg", "Another.", "m:C", "m:S")]
"""


@pytest.mark.slow
def test_broken_and_rival_plugins(
    process: Process, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    site = tmp_path_factory.mktemp("site")
    plugin(site, "broken", "import no_such_module\n")
    plugin(site, "twin", _TWIN)

    listed = process("list", path=site)
    assert listed.returncode == 0
    assert "ModuleNotFoundError: No module named 'no_such_module'" in listed.stdout
    assert "'pflbench:fedavg' and 'twin:twin'" in listed.stdout
    assert "fedora" in listed.stdout

    for name, part in (
        ("broken", "The plugin 'broken:broken' is broken: ModuleNotFoundError"),
        ("fedavg", "Two plugins bring the algorithm 'fedavg'"),
    ):
        for arguments in (["run", "--algo", name, "--dataset", "mnist"], ["show", name]):
            done = process(*arguments, path=site)
            assert (done.returncode, done.stdout) == (2, "")
            (line,) = own_words(done.stderr).splitlines()
            assert part in line
    assert files(folder) == []


@pytest.mark.parametrize(
    ("option", "example"),
    [
        ("--partition", "dirichlet(alpha=0.1)"),
        ("--population", "permuted-labels(share=0.25)"),
        ("--model", "mlp(hidden=64)"),
        ("--participation", "dropout(p=0.2)"),
        ("--privacy", "gaussian(clip=1, noise=1)"),
    ],
)
def test_an_expression_that_cannot_be_read_is_answered_with_one_of_its_kind(
    option: str, example: str, pflbench: Call, folder: Path, data: str
) -> None:
    said = refused(pflbench, folder, *RUN, data, *SMALL, option, "9x(")
    assert f"such as {example}." in said


def test_a_network_that_cannot_be_read_is_answered_with_networks(
    pflbench: Call, folder: Path, data: str
) -> None:
    assert pflbench(*RUN, data, *SMALL).exit_code == 0
    said = pflbench("show", "cost", "--network", "6g")
    assert said.exit_code == 2
    assert "such as lte or link(down=50, up=10)." in said.stderr
