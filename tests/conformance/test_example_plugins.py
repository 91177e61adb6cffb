"""The third party's plugins under examples/ pass their own tests, the kit among them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from plugin_projects import install, passed, run

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/pyproject.toml"))


def test_there_is_one() -> None:
    assert EXAMPLES


@pytest.mark.slow
@pytest.mark.parametrize("described", EXAMPLES, ids=lambda path: path.parent.name)
def test_an_example_passes_its_tests(described: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    ignored = shutil.ignore_patterns("__pycache__", ".*", "build", "dist", "*.egg-info")
    shutil.copytree(described.parent, project, ignore=ignored)
    site = install(project)
    tests = run("pytest", "-q", "-rs", "-p", "no:cacheprovider", site=site, folder=project)
    assert tests.returncode == 0, tests.stdout
    assert passed(tests.stdout) >= 25
