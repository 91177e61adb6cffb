"""The image file copies all that the package is built from, and nothing that is left out."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from pflbench.cli.main import main

ROOT = Path(__file__).resolve().parent.parent
LINES = (ROOT / "Containerfile").read_text("utf-8").splitlines()
IGNORED = (ROOT / ".containerignore").read_text("utf-8").splitlines()
COPIED = {
    source: words[-1]
    for line in LINES
    if (words := line.split())[:1] == ["COPY"]
    for source in words[1:-1]
}


def copied(path: str) -> bool:
    return any(path == source or path.startswith(f"{source}/") for source in COPIED)


def test_every_copied_source_exists_and_is_let_through() -> None:
    assert len(COPIED) == 6
    for source, target in COPIED.items():
        assert (ROOT / source).exists(), source
        assert f"!{source}" in IGNORED, source
        folder = (ROOT / source).is_dir()  # whose content alone is copied, into the target
        assert target == f"/src/{source}" if folder else target == "/src/"
    assert {line[1:] for line in IGNORED if line.startswith("!")} == set(COPIED)


def test_all_that_the_package_is_built_from_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    needed = [
        "pyproject.toml",
        project["project"]["readme"],
        *project["project"]["license-files"],
        *project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"],
    ]
    assert [path for path in needed if not copied(path)] == []


def test_its_command_is_the_main_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (entry,) = (json.loads(line[11:]) for line in LINES if line.startswith("ENTRYPOINT "))
    (command,) = (json.loads(line[4:]) for line in LINES if line.startswith("CMD "))
    readme = (ROOT / "README.md").read_text("utf-8")
    assert " ".join([*entry, *command]) in readme
    done = CliRunner().invoke(main, [*command, "--rounds", "1", "--dry-run"])
    assert done.exit_code == 0, done.output


def test_the_index_is_the_documented_one() -> None:
    (index,) = (line.split("=", 1)[1] for line in LINES if line.startswith("ARG TORCH_INDEX="))
    page = (ROOT / "docs" / "quickstart.md").read_text("utf-8")
    assert re.search(rf"pip install torch torchvision --index-url {re.escape(index)}$", page, re.M)
