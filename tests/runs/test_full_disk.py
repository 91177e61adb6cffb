"""A real file system without room: an error in one sentence, and nothing that was there is lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

OWN_MOUNTS = (
    ["unshare", "--user", "--map-root-user", "--mount"],
    ["unshare", "--mount"],
)
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


def test_full_with_more_and_more_room(digits: str, tmp_path: Path, own_mounts: list[str]) -> None:
    disk, elsewhere = tmp_path / "disk", tmp_path / "elsewhere"
    disk.mkdir()
    script = Path(__file__).with_name("full_disk.py")
    done = subprocess.run(
        [*own_mounts, sys.executable, str(script), digits, str(disk), str(elsewhere)],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not any(disk.iterdir()), "the file system was not of its own"
    report = json.loads(done.stdout)
    met = {name: files_of(told["messages"], disk) for name, told in report.items()}
    start = {"run.json", "environment.json"}
    state = {"tensors.safetensors", "counters.json", "metrics.parquet", "manifest.json"}
    assert met["pages, checkpoints"] >= {*start, "tensors.safetensors"}
    assert {name.rpartition(".")[2] for name in met["files, checkpoints"]} >= {"lock", "holder"}
    assert len(met["files, checkpoints"] & state) >= 2
    assert met["pages"] >= {*start, "metrics.parquet", "rounds.parquet", "summary.json"}
    for told in report.values():
        assert set(told["codes"]) == {1}
        assert {"nothing", "unfinished 0"} <= set(told["left"])
        assert not any(left.startswith(("complete", "failed")) for left in told["left"])
    # It is the checkpoint before the one for which there was no room that is gone on from.
    assert any(left > "unfinished 0" for left in report["pages, checkpoints"]["left"])


def files_of(messages: list[str], disk: Path) -> set[str]:
    """Hold messages to one sentence that says what could not be written, and return those names."""
    names = set()
    for message in messages:
        lines = message.strip().splitlines()
        (line,) = (line for line in lines if not line.startswith("Notice: "))
        told = re.search(r"Results could not be written to (\S+): No space left on device\.$", line)
        assert told, line
        assert told[1].startswith(str(disk / "results"))
        assert ".tmp" not in told[1]
        names.add(Path(told[1]).name)
    return names
