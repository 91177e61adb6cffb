"""`--model net.py:build` on the command line: run, reproduced, and refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import SMALL, Call

NET = """
from torch import nn

def build(input_shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 4), nn.ReLU(), nn.Linear(4, classes))
"""


def test_a_run_of_a_file_is_found_again_reproduced_and_refused_when_it_changed(
    pflbench: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(NET)
    run = ("run", "--algo", "fedavg", "--dataset", "mnist", *SMALL, "--model", "net.py:build")
    assert pflbench(*run).exit_code == 0
    (folder,) = Path("results/runs").iterdir()
    assert pflbench(*run).exit_code == 0
    assert list(Path("results/runs").iterdir()) == [folder]
    assert pflbench("reproduce", folder.name).exit_code == 0
    Path("net.py").write_text(NET.replace("4", "5"))
    changed = pflbench("reproduce", folder.name)
    assert changed.exit_code == 2
    assert "of the model 'net.py:build'" in changed.output
    mistyped = pflbench(*run[:-1], "net.py:biuld")
    assert mistyped.exit_code == 2
    assert "Did you mean 'build'?" in mistyped.output
