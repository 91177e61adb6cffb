"""`--model net.py:build`: a network in a user's own file."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_federations import federation_of

import pflbench
from pflbench.errors import InputError
from pflbench.runs import RunRequest
from pflbench.runs.identity import identify

FUNCTION = """
from torch import nn

def build(input_shape, classes):
    width = input_shape[0] * input_shape[1]
    return nn.Sequential(nn.Flatten(), nn.Linear(width, 4), nn.ReLU(), nn.Linear(4, classes))
"""
CLASS = """
from dataclasses import dataclass

import torch
from torch import nn

@dataclass
class Sizes:
    hidden: int = 4

class Net(nn.Module):
    def __init__(self, input_shape, classes):
        super().__init__()
        self.body = nn.Linear(input_shape[0] * input_shape[1], Sizes().hidden)
        self.norm = nn.BatchNorm1d(4)
        self.head = nn.Linear(4, classes)

    def forward(self, x):
        return self.head(torch.relu(self.norm(self.body(x.flatten(1)))))
"""


def written(folder: Path, source: str, name: str = "net.py") -> str:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(source)
    return str(folder / name)


def identity(model: str) -> str:
    return identify(RunRequest("fedavg", federation_of(), model=model, rounds=2)).cell.id


@pytest.mark.parametrize(("source", "name"), [(FUNCTION, "build"), (CLASS, "Net")])
def test_a_network_of_a_file_trains(source: str, name: str, tmp_path: Path) -> None:
    path = written(tmp_path, source)
    result = pflbench.run("fedavg", federation_of(), model=f"{path}:{name}", rounds=2)
    again = pflbench.run("fedavg", federation_of(), model=f"{path}:{name}", rounds=2)
    assert result.metrics.equals(again.metrics)


def test_the_text_of_the_file_decides_the_identity_and_its_folder_does_not(tmp_path: Path) -> None:
    here = identity(f"{written(tmp_path / 'a', FUNCTION)}:build")
    there = identity(f"{written(tmp_path / 'b', FUNCTION)}:build")
    other = identity(f"{written(tmp_path / 'c', FUNCTION.replace('4', '5'))}:build")
    assert here == there
    assert here != other


def test_a_changed_file_is_loaded_again(tmp_path: Path) -> None:
    first = identity(f"{written(tmp_path, FUNCTION)}:build")
    assert identity(f"{written(tmp_path, CLASS)}:Net") != first
    assert identity(f"{written(tmp_path, FUNCTION)}:build") == first


@pytest.mark.parametrize(
    ("source", "name", "words"),
    [
        (FUNCTION, ":biuld", "has no 'biuld': .* Did you mean 'build'"),
        (FUNCTION, "", "has no name after it: .* net.py:build"),
        ("def build(:", ":build", "cannot be loaded: SyntaxError"),
        ("import no_such_package", ":build", "cannot be loaded: ModuleNotFoundError"),
        ("raise SystemExit(3)", ":build", "cannot be loaded: SystemExit"),
        ("build = 3", ":build", "expected a torch.nn.Module, or a function or class"),
        ("def build(a, b, c): pass", ":build", "needs other arguments"),
        ("def build(): return 3", ":build", "returned int: expected a torch.nn.Module"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    source: str, name: str, words: str, tmp_path: Path
) -> None:
    path = written(tmp_path, source)
    with pytest.raises(InputError, match=words):
        pflbench.run("fedavg", federation_of(), model=f"{path}{name}", rounds=1)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"names a file .* that does not exist"):
        identity(str(tmp_path / "none.py:build"))
