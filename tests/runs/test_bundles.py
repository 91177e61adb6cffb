"""A bundle is what it says, or is refused: with anything in it changed, missing or added."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

import pflbench
from pflbench.cli.main import main
from pflbench.errors import InputError
from pflbench.results import Store
from pflbench.results.bundles import MANIFEST, pack
from pflbench.runs.verification import Verdict, verify

SMALL: dict[str, Any] = {"clients": 4, "rounds": 2, "eval_every": 1, "partition": "iid"}

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, digits_file: Path) -> Path:
    """A results folder with two runs, and the bundle of them."""
    folder = tmp_path_factory.mktemp("made")
    for method in ("local", "fedavg"):
        pflbench.run(
            method, f"npz:{digits_file}", results=folder / "results", device="cpu", **SMALL
        )
    pack(Store(folder / "results").runs(), folder / "bundle.zip")
    return folder


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(made / "bundle.zip", tmp_path / "bundle.zip"))


def read(bundle: Path) -> Files:
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(bundle: Path, files: Files) -> None:
    with zipfile.ZipFile(bundle, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def signed(files: Files) -> Files:
    """Return files with a list that is right for them, as a forger would write it."""
    manifest = json.loads(files[MANIFEST])
    manifest["runs"] = {}
    for name, content in files.items():
        if name != MANIFEST:
            _, run, file = name.split("/")
            entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            manifest["runs"].setdefault(run, {})[file] = entry
    digests = {r: {n: e["sha256"] for n, e in f.items()} for r, f in manifest["runs"].items()}
    manifest["id"] = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
    return {**files, MANIFEST: json.dumps(manifest).encode()}


def first(files: Files, file: str) -> str:
    return next(name for name in files if name.endswith(f"/{file}"))


def with_other_number(files: Files) -> Files:
    name = first(files, "summary.json")
    summary = json.loads(files[name])
    summary["test_accuracy"] += 0.01
    return {**files, name: json.dumps(summary).encode()}


def without_its_seal(files: Files) -> Files:
    """Return files whose forger has removed what vouches for the number."""
    name = first(files, "summary.json")
    summary = json.loads(files[name])
    del summary["sha256"]
    return {**files, name: json.dumps(summary).encode()}


def without_a_run(files: Files) -> Files:
    run = first(files, "summary.json").rpartition("/")[0]
    return {name: content for name, content in files.items() if not name.startswith(run)}


def renamed(files: Files) -> Files:
    """Return files in which a run is stored under another run's id."""
    run = first(files, "summary.json").split("/")[1]
    other = "0" * 12
    return {name.replace(run, other): content for name, content in files.items()}


def test_a_bundle_is_consistent_and_the_same_runs_make_the_same_bytes(
    made: Path, tmp_path: Path
) -> None:
    found = verify(made / "bundle.zip")
    assert (found.outcome, found.runs, found.accepted) == ("consistent", 2, True)
    again = pack(Store(made / "results").runs(), tmp_path / "again.zip")
    assert again.id == found.bundle
    assert (tmp_path / "again.zip").read_bytes() == (made / "bundle.zip").read_bytes()


def test_it_has_no_paths_and_no_host_name_and_numbers_and_ids_are_the_runs(
    made: Path, digits_file: Path
) -> None:
    files = read(made / "bundle.zip")
    texts = b"".join(content for name, content in files.items() if name.endswith(".json"))
    for kept in (str(digits_file.parent), str(made), platform.node()):
        assert kept.encode() not in texts
    assert b"npz:digits.npz" in texts
    for run in Store(made / "results").runs():
        packed = json.loads(files[f"runs/{run.id}/summary.json"])
        assert {k: v for k, v in packed.items() if k != "sha256"} == dict(run.summary)
        metrics = (run.folder / "metrics.parquet").read_bytes()
        assert files[f"runs/{run.id}/metrics.parquet"] == metrics


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (with_other_number, "is not as it was packed: its checksum differs"),
        (lambda files: signed(with_other_number(files)), "says test_accuracy"),
        (lambda files: signed(without_its_seal(with_other_number(files))), "says test_accuracy"),
        (without_a_run, "is missing: the list of files has it"),
        (lambda files: {**files, "runs/notes.txt": b"x"}, "is not in its list of files"),
        (lambda files: {**files, "../outside.json": b"x"}, "leads out of the bundle"),
        (lambda files: {**files, "/etc/outside": b"x"}, "leads out of the bundle"),
        (lambda files: {**files, "runs/../../x": b"x"}, "leads out of the bundle"),
        (lambda files: signed(renamed(files)), "it describes run"),
        (lambda files: {**files, MANIFEST: b"{"}, "does not hold whole JSON"),
    ],
    ids=[
        "number",
        "number signed again",
        "number without a seal",
        "run missing",
        "file added",
        "path above",
        "path from the root",
        "path through above",
        "run of another id",
        "list damaged",
    ],
)
def test_a_forged_bundle_is_refused(
    forge: Callable[[Files], Files], reason: str, bundle: Path, tmp_path: Path
) -> None:
    write(bundle, forge(read(bundle)))
    found = verify(bundle)
    assert (found.outcome, found.accepted) == ("refused", False)
    assert reason in found.reason
    assert str(tmp_path.parent) not in found.reason
    assert [path.name for path in tmp_path.iterdir()] == ["bundle.zip"]


def test_a_file_that_is_missing_twice_or_a_link_is_refused(bundle: Path) -> None:
    files = read(bundle)
    name = first(files, "metrics.parquet")
    write(bundle, {n: c for n, c in files.items() if n != name})
    assert f"The file {name} is missing" in verify(bundle).reason
    write(bundle, files)
    with zipfile.ZipFile(bundle, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(name, files[name])
    assert "is in the archive 2 times" in verify(bundle).reason
    with zipfile.ZipFile(bundle, "w") as archive:
        for one, content in files.items():
            info = zipfile.ZipInfo(one)
            info.external_attr = (0o120777 if one == name else 0o100644) << 16
            archive.writestr(info, content)
    assert "is a link" in verify(bundle).reason


def test_a_sample_is_run_again_and_made_up_tables_differ(
    bundle: Path, digits: str, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"sample": 1, "seed": 3, "datasets": [digits]}
    whole: Verdict = verify(bundle, **options)
    assert (whole.outcome, len(whole.repeated), whole.seed) == ("verified", 1, 3)
    drawn = whole.repeated[0].run_id
    assert verify(bundle, sample=1, seed=3).outcome == "not reproduced"  # digits.npz is elsewhere
    files = read(bundle)
    table = tmp_path / "messages.parquet"
    table.write_bytes(files[f"runs/{drawn}/metrics.parquet"])
    metrics = pd.read_parquet(table)
    pd.DataFrame(metrics.assign(loss=metrics["loss"] / 2)).to_parquet(table)
    summary = json.loads(files[f"runs/{drawn}/summary.json"])
    del summary["sha256"]
    files[f"runs/{drawn}/metrics.parquet"] = table.read_bytes()
    files[f"runs/{drawn}/summary.json"] = json.dumps(summary).encode()
    write(bundle, signed(files))
    assert verify(bundle).outcome == "consistent"  # its summary follows from its tables
    found = verify(bundle, **options)
    assert (found.outcome, found.accepted) == ("differs", False)


def test_what_is_no_bundle_and_what_cannot_be_packed_is_said(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs complete runs"):
        pack([], tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()
    (tmp_path / "text.zip").write_text("no archive")
    with pytest.raises(InputError, match="not a whole zip archive"):
        verify(tmp_path / "text.zip")
    write(bundle, {"a.txt": b"x"})
    with pytest.raises(InputError, match=f"has no {MANIFEST}"):
        verify(bundle)


def test_the_commands_pack_verify_and_write_the_verdict(made: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "b.zip", tmp_path / "verdict.json"
    packed = CliRunner().invoke(main, ["bundle", str(file), "--results", str(made / "results")])
    assert packed.exit_code == 0, packed.output
    checked = CliRunner().invoke(main, ["verify", str(file), "--out", str(out)])
    assert checked.exit_code == 0, checked.output
    assert "Verdict: consistent." in checked.stdout
    verdict = json.loads(out.read_text())
    assert verdict["bundle"] == packed.stdout.strip()
    assert verdict["accepted"] is True
    write(file, with_other_number(read(file)))
    refused = CliRunner().invoke(main, ["verify", str(file), "--format", "json"])
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["outcome"] == "refused"
