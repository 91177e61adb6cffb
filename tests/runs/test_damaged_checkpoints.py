"""A checkpoint that was damaged: it is found, and the run ends with the numbers of a whole one."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_federations import federation_of

import pflbench
from pflbench import Federation
from pflbench.results import Store, StoredRun
from pflbench.results.checkpoint import CheckpointWarning
from pflbench.runs import Observer, Progress, RunInfo, execution
from pflbench.schema.scenario import digest

OPTIONS: dict[str, Any] = {"rounds": 6, "eval_every": 2, "participation": 0.4}
KEPT = 3
"""The round that the checkpoint is of."""

TIMES = ["client_seconds", "server_seconds", "evaluate_seconds", "peak_memory_bytes"]


class Stops(Observer):
    """Interrupts a run in the round after that of its last checkpoint; knows where it began."""

    def __init__(self, after: int | None = None) -> None:
        self.after, self.began = after, -1

    def started(self, info: RunInfo) -> None:
        self.began = info.start_round

    def round_done(self, progress: Progress) -> None:
        if progress.round == self.after:
            raise KeyboardInterrupt


@pytest.fixture
def manifest(federation: Federation, results: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Interrupt a run; return the manifest of its checkpoint."""
    monkeypatch.setattr(execution, "CHECKPOINT_SECONDS", -1.0)
    with pytest.raises(KeyboardInterrupt):
        pflbench.run("fedavg", federation, results=results, observers=[Stops(KEPT + 1)], **OPTIONS)
    (path,) = results.glob("runs/*/checkpoint/*/manifest.json")
    assert json.loads(path.read_text())["round"] == KEPT
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    """Return the same run, never interrupted."""
    results = tmp_path_factory.mktemp("whole")
    pflbench.run("fedavg", federation_of(), results=results, **OPTIONS)
    return Store(results).runs()[0]


def resumed(federation: Federation, results: Path, whole: StoredRun) -> int:
    """Resume the run, assert that it ends as one without interruption; return where it began."""
    stops = Stops()
    pflbench.run("fedavg", federation, results=results, observers=[stops], **OPTIONS)
    (run,) = Store(results).runs()
    for name in ("metrics", "rounds", "messages", "participation"):
        one, other = (of.table(name).drop(columns=TIMES, errors="ignore") for of in (run, whole))
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    return stops.began


def rewritten(path: Path, *, digested: bool, **changes: Any) -> None:
    """Change a manifest as nobody should; `digested`: as one that knew how to hide it."""
    content = json.loads(path.read_text())
    own = content.pop("digest")
    content |= changes
    path.write_text(json.dumps({**content, "digest": digest(content) if digested else own}))


@pytest.mark.mostly_slow("digits")
@pytest.mark.parametrize("digested", [False, True], ids=["digits", "digest and all"])
def test_a_manifest_with_another_round(
    digested: bool, federation: Federation, results: Path, whole: StoredRun, manifest: Path
) -> None:
    (run,) = Store(results).runs()
    with Store(results).open(run.cell, run.labels, {}) as writer:
        for round in (KEPT + 1, 6, 10**9, 1, 0, -5, True, 3.0, "3", None, [], KEPT - 1):
            rewritten(manifest, digested=digested, round=round)
            assert run.reached in (0, round)
            assert not isinstance(run.reached, bool)
            with pytest.warns(CheckpointWarning, match=r" is damaged: .* starts again\.$"):
                assert writer.restore(OPTIONS["rounds"]) is None
    with pytest.warns(CheckpointWarning):
        assert resumed(federation, results, whole) == 0


def test_a_manifest_of_a_version_that_wrote_no_digest(
    federation: Federation, results: Path, whole: StoredRun, manifest: Path
) -> None:
    content = json.loads(manifest.read_text())
    del content["digest"]
    manifest.write_text(json.dumps(content))
    with warnings.catch_warnings():
        warnings.simplefilter("error", CheckpointWarning)
        assert resumed(federation, results, whole) == KEPT


def test_a_manifest_without_digest_that_the_rounds_contradict(
    federation: Federation, results: Path, whole: StoredRun, manifest: Path
) -> None:
    content = json.loads(manifest.read_text())
    del content["digest"]
    manifest.write_text(json.dumps({**content, "round": KEPT + 2}))
    with pytest.warns(CheckpointWarning, match="rounds 1 to 5 are expected, each once"):
        assert resumed(federation, results, whole) == 0


def as_link(path: Path) -> None:
    path.rename(path.parents[4] / path.name)
    path.symlink_to(path.parents[4] / path.name)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes in folders are of POSIX systems")
@pytest.mark.parametrize("name", ["manifest.json", "counters.json", "tensors.safetensors"])
def test_a_file_of_a_checkpoint_that_is_no_plain_file(
    name: str, results: Path, manifest: Path
) -> None:
    (run,) = Store(results).runs()
    kept = manifest.with_name(name).read_bytes()
    with Store(results).open(run.cell, run.labels, {}) as writer:
        for spoil in (as_pipe, as_link, as_folder):
            (path := manifest.with_name(name)).unlink()
            path.write_bytes(kept)
            spoil(path)
            with pytest.warns(CheckpointWarning, match="a plain file is expected"):
                assert writer.restore(OPTIONS["rounds"]) is None


def test_a_checkpoint_that_is_a_link_is_not_followed(
    federation: Federation, results: Path, whole: StoredRun, manifest: Path
) -> None:
    folder = manifest.parents[1]
    elsewhere = results.parent / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*"))
    assert resumed(federation, results, whole) == 0
    assert sorted(elsewhere.rglob("*")) == before
