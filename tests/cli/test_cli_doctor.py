"""`pflbench doctor`: all that a bug report needs, and nothing that a user would not show."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import pytest
from calling import Call, Process

from pflbench.cli import diagnosis
from pflbench.results import Store
from pflbench.version import __version__


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working directory in a home folder, with a name and a token to keep."""
    home = tmp_path / "home" / "alice"
    (home / "data").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HF_TOKEN", "hunter2")
    monkeypatch.setenv("PFLBENCH_DATA", str(home / "data"))
    monkeypatch.delenv("PFLBENCH_RESULTS", raising=False)
    monkeypatch.chdir(home)
    return home


def looked(pflbench: Call, *options: str) -> tuple[dict[str, Any], str]:
    ended = pflbench("doctor", "--json", *options)
    assert ended.exit_code == 0, ended.output
    found: dict[str, Any] = json.loads(ended.stdout)
    return found, ended.stdout


def problems(found: dict[str, Any]) -> list[str]:
    """Return the problems, without those of plugins that happen to be installed here."""
    return [one for one in found["problems"] if not one.startswith("The plugin ")]


def test_json_has_every_part_and_neither_home_nor_host_nor_secrets(
    pflbench: Call, folder: Path
) -> None:
    Store(folder / "results", create=True).make()
    found, text = looked(pflbench, "--results", str(folder / "results"))
    assert found["versions"]["pflbench"] == __version__
    assert found["versions"]["packages"]["torch"]
    assert found["devices"]["cores"] >= 1
    assert found["data"]["folder"] == "~/data"
    assert found["results"]["folder"] == "~/results"
    assert found["results"]["state"] == "writable"
    assert found["locks"]["work"] is True
    assert problems(found) == []
    for kept in (str(folder), "hunter2", "HF_TOKEN", platform.node()):
        assert kept not in text
    assert not list((folder / "results").glob(".pflbench-doctor-*"))
    asked = looked(pflbench, "--results", str(folder / "results"), "--paths")[0]
    assert asked["data"]["folder"] == str(folder / "data")


def test_missing_folders_and_damaged_runs_are_problems(pflbench: Call, folder: Path) -> None:
    (folder / "data").rmdir()
    Store(folder / "results", create=True).make()
    run = folder / "results" / "runs" / "0123456789ab"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{")
    found = looked(pflbench)[0]
    assert found["results"]["runs"] == {"damaged": 1}
    assert any("The data folder ~/data is missing" in one for one in found["problems"])
    assert any("Run 0123456789ab is damaged" in one for one in found["problems"])
    (folder / "results" / "pflbench.json").unlink()
    assert any("is not a results folder" in one for one in looked(pflbench)[0]["problems"])


def test_a_run_that_is_held_is_named(pflbench: Call, folder: Path) -> None:
    from pflbench.results.locking import RunLock

    Store(folder / "results", create=True).make()
    (folder / "results" / "runs" / "0123456789ab").mkdir(parents=True)
    lock = RunLock(folder / "results" / ".locks", "0123456789ab")
    try:
        held = looked(pflbench)[0]["locks"]["held"]
    finally:
        lock.release()
    assert held["0123456789ab"].startswith("process ")
    assert held["0123456789ab"].endswith(" on HOST")


def test_a_part_that_cannot_be_looked_at_hides_no_other(
    pflbench: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: list[str]) -> diagnosis.Facts:
        raise OSError("libcuda is of another version")

    monkeypatch.setattr(diagnosis, "_devices", broken)
    found = looked(pflbench)[0]
    assert found["devices"] == {"unknown": "OSError: libcuda is of another version"}
    assert problems(found) == ["devices: OSError: libcuda is of another version"]
    assert found["plugins"]["distributions"]


def test_text_fits_80_columns(pflbench: Call, folder: Path) -> None:
    ended = pflbench("doctor")
    assert ended.exit_code == 0
    assert max(map(len, ended.stdout.splitlines())) <= 80
    assert "Versions" in ended.stdout
    assert str(folder) not in ended.stdout


@pytest.mark.slow
def test_a_broken_plugin_is_named_with_its_error(process: Process, folder: Path) -> None:
    site = folder / "site"
    about = site / "broken_plugin-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-plugin\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[pflbench]\nmine = broken_module\n")
    (site / "broken_module.py").write_text("raise RuntimeError('no file /home/bob/weights')\n")
    ended = process("doctor", "--json", path=site)
    assert ended.returncode == 0, ended.stderr
    broken = json.loads(ended.stdout)["plugins"]["broken"]
    assert broken["broken-plugin:mine"] == "RuntimeError: no file /home/.../weights"
