"""A real file system without room: an error in one sentence, and nothing that was there is lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

OWN_MOUNTS = (["unshare", "--user", "--map-root-user", "--mount"], ["unshare", "--mount"])
"""Ways to be allowed to mount a file system that nobody else sees and that goes by itself."""


@pytest.fixture
def own_mounts(tmp_path: Path) -> list[str]:
    if not shutil.which("unshare"):
        pytest.skip("there is no unshare, which gives a test a file system of its own")
    disk = tmp_path / "tried"
    disk.mkdir()
    for way in OWN_MOUNTS:
        mount = [*way, "mount", "-t", "tmpfs", "none", str(disk)]
        if subprocess.run(mount, capture_output=True, check=False).returncode == 0:
            return way
    pytest.skip("file systems may not be mounted here, not even one that nobody else sees")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Return where the small file system is, for those that see it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    return disk


@pytest.mark.slow
def test_full_but_for_a_little(digits: str, disk: Path, own_mounts: list[str]) -> None:
    report = told(own_mounts, digits, disk, rooms=(0, 3))
    assert all(files_of(of["messages"], disk) for of in report.values())
    for of in report.values():
        assert of["codes"] == [1, 1]
        assert set(of["left"]) <= {"nothing", "unfinished 0"}


@pytest.mark.slow
def test_full_with_more_and_more_room(digits: str, disk: Path, own_mounts: list[str]) -> None:
    report = told(own_mounts, digits, disk)
    met = {name: files_of(of["messages"], disk) for name, of in report.items()}
    start = {"run.json", "environment.json"}
    state = {"tensors.safetensors", "counters.json", "metrics.parquet", "manifest.json"}
    assert met["pages, checkpoints"] >= {*start, "tensors.safetensors"}
    assert {name.rpartition(".")[2] for name in met["files, checkpoints"]} >= {"lock", "holder"}
    assert len(met["files, checkpoints"] & state) >= 2
    assert met["pages"] >= {*start, "metrics.parquet", "rounds.parquet", "summary.json"}
    for of in report.values():
        assert set(of["codes"]) == {1}
        assert {"nothing", "unfinished 0"} <= set(of["left"])
        assert not any(left.startswith(("complete", "failed")) for left in of["left"])
    # It is the checkpoint before the one for which there was no room that is gone on from.
    assert any(left > "unfinished 0" for left in report["pages, checkpoints"]["left"])


def told(
    own_mounts: list[str], dataset: str, disk: Path, rooms: tuple[int, ...] = ()
) -> dict[str, Any]:
    """Return what was met on a disk that is full, by kind of room and of writing."""
    script = Path(__file__).with_name("full_disk.py")
    where = [dataset, str(disk), str(disk.with_name("elsewhere"))]
    done = subprocess.run(
        [*own_mounts, sys.executable, str(script), *where, *map(str, rooms)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert not any(disk.iterdir()), "the file system was not of its own"
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def files_of(messages: list[str], disk: Path) -> set[str]:
    """Hold messages to one sentence that says what could not be written, and return those names."""
    names = set()
    for message in messages:
        lines = message.strip().splitlines()
        (line,) = (line for line in lines if not line.startswith("Notice: "))
        said = re.search(r"Results could not be written to (\S+): No space left on device\.$", line)
        assert said, line
        assert said[1].startswith(str(disk / "results"))
        assert ".tmp" not in said[1]
        names.add(Path(said[1]).name)
    return names
