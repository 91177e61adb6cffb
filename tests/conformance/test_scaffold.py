"""The skeleton of a plugin works as it is written out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugin_projects import install, passed, run

from pflbench.conformance.scaffold import write_algorithm
from pflbench.errors import InputError, WorkError


@pytest.mark.slow
def test_the_skeleton_passes_its_own_tests(tmp_path: Path) -> None:
    project = tmp_path / "project"
    written = write_algorithm("my-method2", project)
    assert set(written) == {path for path in project.rglob("*") if path.is_file()}
    site = install(project)
    tests = run("pytest", "-q", "-rs", "-p", "no:cacheprovider", site=site, folder=project)
    assert tests.returncode == 0, tests.stdout
    assert passed(tests.stdout) >= 25


def test_the_skeleton_is_tidy(tmp_path: Path) -> None:
    """By the rules that it brings itself, where the linter is installed."""
    pytest.importorskip("ruff")
    write_algorithm("tidy", tmp_path)
    for command in (("check",), ("format", "--check")):
        done = run("ruff", *command, ".", site=tmp_path, folder=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "name", ["My Method", "my_method", "", "2fast", "-", "a--b", "../up", "a/b", "näme", "a\n"]
)
def test_bad_names_write_nothing(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a name"):
        write_algorithm(name, tmp_path / "new")
    assert not any(tmp_path.iterdir())


@given(name=st.from_regex(r"[a-z][a-z0-9]{0,6}(-[a-z0-9]{1,6}){0,2}", fullmatch=True))
def test_every_good_name_gives_python(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    for path in write_algorithm(name, tmp_path_factory.mktemp("plugin")):
        text = path.read_text()
        assert "$" not in text
        if path.suffix == ".py":
            compile(text, path.name, "exec")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("all of it")
    with pytest.raises(InputError, match="not empty"):
        write_algorithm("my-method", tmp_path / "full")
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["thesis.tex"]
    with pytest.raises(InputError, match="is a file"):
        write_algorithm("my-method", tmp_path / "full" / "thesis.tex")
    (tmp_path / "empty").mkdir()
    assert write_algorithm("my-method", tmp_path / "empty")


def test_what_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkError, match="cannot be written"):
        write_algorithm("my-method", tmp_path / "file" / "below")
