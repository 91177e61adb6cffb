"""Without the packages of the extras: the main job works, the rest says what to install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from calling import SMALL, Call, files

from pflbench.errors import InputError
from pflbench.extras import needed

EXTRAS = ("jinja2", "markupsafe", "matplotlib", "opacus", "optuna", "ray")
OF_TESTS = ("hypothesis", "mlxtend", "scikit_posthocs", "sklearn", "statsmodels")

_BARE = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
from pflbench.cli.main import main

for arguments in {commands!r}:
    print("=====", *arguments, flush=True)
    try:
        main(arguments, prog_name="pflbench")
    except SystemExit as end:
        assert not end.code, (arguments, end.code)
"""


@pytest.mark.slow
def test_the_light_core_runs_and_compares(folder: Path, data: str) -> None:
    """One process calls all commands: each would import torch anew."""
    commands = [
        ["run", "--algo", "local,fedavg", "--dataset", data, *SMALL, "--quiet"],
        ["leaderboard"],
        ["leaderboard", "--format", "latex"],
        ["status", "--algo", "local", "--dataset", data, *SMALL[:-2]],
        ["show", "cost"],
        ["show", "partition", "iid", "--dataset", data],
        ["check", "iid"],
        ["list"],
    ]
    code = _BARE.format(missing=EXTRAS + OF_TESTS, commands=commands)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    for said in done.stdout.split("===== ")[1:4]:
        assert said.count("fedavg") >= 2, said


@pytest.mark.parametrize(
    ("module", "arguments", "sentence"),
    [
        ("matplotlib", ("report",), "The HTML report needs matplotlib"),
        ("jinja2", ("report",), "The HTML report needs Jinja"),
        ("matplotlib", ("plot", "curves"), "A picture needs matplotlib"),
        ("matplotlib", ("plot", "curves", "--save", "a.svg"), "A picture needs matplotlib"),
        ("matplotlib", ("show", "cost", "--save", "a.svg"), "A picture needs matplotlib"),
        ("optuna", ("tune", "--algo", "local", "--trials", "2"), "pflbench tune needs Optuna"),
        ("ray", ("run", "--algo", "local", "--executor", "ray"), "--executor ray needs Ray"),
        ("opacus", ("run", "--algo", "local", "--privacy", "gaussian"), "Privacy needs Opacus"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_a_missing_package_is_named_with_its_extra(
    module: str,
    arguments: tuple[str, ...],
    sentence: str,
    pflbench: Call,
    folder: Path,
    data: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # as Python marks what cannot be imported
    monkeypatch.setitem(sys.modules, module, None)
    if module == "opacus":
        monkeypatch.setitem(sys.modules, "opacus.accountants", None)
    before = files(folder)
    if "--algo" in arguments:
        arguments = (*arguments, "--dataset", data, *SMALL)
    done = pflbench(*arguments)
    extra = {"opacus": "privacy", "optuna": "tune", "ray": "ray"}.get(module, "report")
    assert done.exit_code == 2
    assert " ".join(done.stderr.split()) == f"Error: {sentence}: pip install 'pflbench[{extra}]'."
    assert done.stdout == ""
    assert files(folder) == before


def test_a_package_that_cannot_be_imported_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_package.py").write_text("import no_such_module_of_it")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match=r"which cannot be imported \(.*no_such_module_of_it"):
        needed("broken_package", "A test", "test")
