"""`pflbench export`: a client's model in a file, or a sentence that says why there is none."""

from __future__ import annotations

from pathlib import Path

import safetensors
import safetensors.torch
import torch
from calling import SMALL, Call

import pflbench as suite
from pflbench.results import Store


def test_a_client_is_exported_under_the_names_of_its_network(
    pflbench: Call, folder: Path, data: str
) -> None:
    done = pflbench(
        "run", "--algo", "local", "--dataset", data, "--keep-models", "selected", *SMALL
    )
    assert done.exit_code == 0, done.stderr
    (run,) = Store(folder / "results").runs()
    result = pflbench("export", run.id[:6], "--client", "2", "client.safetensors")
    assert (result.exit_code, result.stderr) == (0, "wrote client.safetensors\n")
    written = safetensors.torch.load_file("client.safetensors")
    expected = suite.Result.stored(run).model(2).state_dict()
    assert written.keys() == expected.keys()
    assert all(torch.equal(written[name], expected[name]) for name in expected)
    with safetensors.safe_open("client.safetensors", "pt") as file:
        selected = str(run.summary["selected_round"])
        assert file.metadata() == {"run": run.id, "client": "2", "round": selected}


def test_a_round_is_exported(pflbench: Call, folder: Path, data: str) -> None:
    command = ("run", "--algo", "fedavg", "--dataset", data, *SMALL)
    assert pflbench(*command, "--keep-models", "every=3").exit_code == 0
    (run,) = Store(folder / "results").runs()
    assert pflbench("export", run.id, "--client", "2", "--round", "3", "a.st").exit_code == 0
    with safetensors.safe_open("a.st", "pt") as file:
        assert file.metadata()["round"] == "3"
    result = pflbench("export", run.id, "--client", "2", "--round", "2", "b.st")
    assert (result.exit_code, "expected one of 3, 4" in result.stderr) == (2, True)
    result = pflbench(*command, "--keep-models", "evry=3")
    assert (result.exit_code, "Did you mean 'every='" in result.stderr) == (2, True)
    result = pflbench(*command, "--keep-models", "every=0")
    assert (result.exit_code, "Did you mean" in result.stderr) == (2, False)


def test_what_cannot_be_exported_is_refused_in_a_sentence(
    pflbench: Call, folder: Path, data: str
) -> None:
    command = ("run", "--algo", "fedavg", "--dataset", data, *SMALL)
    assert pflbench(*command).exit_code == 0
    (run,) = Store(folder / "results").runs()
    result = pflbench("export", run.id, "--client", "0", "out.safetensors")
    assert result.exit_code == 2
    assert "run it again with --keep-models last --rerun always" in result.stderr
    result = pflbench(*command, "--keep-models", "last")
    assert result.exit_code == 0
    assert "is stored without the models" in result.stderr.replace("\n", " ")
    assert pflbench(*command, "--keep-models", "last", "--rerun", "always").exit_code == 0
    result = pflbench("export", run.id, "--client", "3", "out.safetensors")
    assert (result.exit_code, "expected 0 to 2" in result.stderr) == (2, True)
    result = pflbench("export", run.id, "--client", "0", "nowhere/out.safetensors")
    assert (result.exit_code, "there is no folder nowhere" in result.stderr) == (2, True)
    assert not list(folder.glob("*out*"))


def test_an_exported_model_starts_another_run(pflbench: Call, folder: Path, data: str) -> None:
    command = ("run", "--algo", "fedavg", "--dataset", data, *SMALL)
    assert pflbench(*command, "--keep-models", "last").exit_code == 0
    (run,) = Store(folder / "results").runs()
    assert pflbench("export", run.id, "--client", "0", "warm.safetensors").exit_code == 0
    done = pflbench(*command, "--init", "warm.safetensors")
    assert done.exit_code == 0, done.stderr
    (warm,) = (other for other in Store(folder / "results").runs() if other.id != run.id)
    shown = pflbench("show", "run", warm.id).stdout
    assert "(warm.safetensors)" in shown
    assert warm.cell["scenario"]["init"]["sha256"][:12] in pflbench("leaderboard").stdout
    done = pflbench(*command, "--init", "cold.safetensors")
    assert (done.exit_code, "init: cold.safetensors cannot be read" in done.stderr) == (2, True)
