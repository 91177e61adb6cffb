"""A place to run what the documentation shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from playing import Call

from pflbench.cli.main import main
from pflbench_datasets import sources
from pflbench_datasets.download import DownloadError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty working directory on a machine without data sets or a network."""

    def refuse(*_: object, **__: object) -> str:
        raise DownloadError("no network")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "download", refuse)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("PFLBENCH_DATA", "PFLBENCH_RESULTS", "PFLBENCH_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def command_line(folder: Path) -> Call:
    """Return a function that calls the command line."""

    def call(arguments: list[str]) -> Result:
        return CliRunner().invoke(main, arguments)

    return call
