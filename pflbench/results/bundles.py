"""Bundles: stored runs in one archive, which others can check.

An archive holds `bundle.json`, with the SHA-256 of every file by run, and the files under
`runs/ID/`. Its id follows from these digests: the same runs make the same bytes. It has no personal
models, no paths of the machine and no host names.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pflbench.errors import InputError, WorkError
from pflbench.results.files import read_json, write_file, write_json
from pflbench.results.sealing import sealed
from pflbench.results.store import Store
from pflbench.results.stored import ENVIRONMENT, RUN, SEAL, SUMMARY, StoredRun, is_run_id
from pflbench.version import __version__

MANIFEST: Final = "bundle.json"
FORMAT: Final = "pflbench bundle"
VERSION: Final = 1

_LARGEST_MANIFEST = 64 * 2**20
_FILE = re.compile(r"[a-z][a-z0-9_]*\.(json|parquet)")
_ABSOLUTE = re.compile(r"(?<![\w.~/\\-])(?:~|[A-Za-z]:)?(?:[\\/][^\\/\s'\":;,()]+){2,}")
_HOSTS = frozenset(("host", "hosts"))
_EPOCH = (1980, 1, 1, 0, 0, 0)


class RefusedError(WorkError):
    """A bundle that is not as it was made, or contradicts itself; the message says how."""


@dataclass(frozen=True)
class Bundle:
    """The runs of an archive whose form was checked, unpacked.

    Attributes
    ----------
    id
        SHA-256 that follows from the content of all files.
    runs
        Ids of its runs.
    made_with
        The version of pflbench that made it.
    """

    id: str
    runs: tuple[str, ...]
    made_with: str


def pack(runs: Iterable[StoredRun], target: Path) -> Bundle:
    """Write an archive of complete runs.

    Raises
    ------
    InputError
        There is no run, a run is not complete, or its identity names a path of this machine.
    WorkError
        The archive cannot be written.
    """
    chosen = sorted({run.id: run for run in runs}.values(), key=lambda run: run.id)
    if not chosen:
        raise InputError("A bundle needs complete runs, and these results have none.")
    if not target.absolute().parent.is_dir():
        raise InputError(f"{target} cannot be written: there is no folder {target.parent}.")
    with tempfile.TemporaryDirectory(prefix="pflbench-bundle-") as place:
        staged = Path(place)
        for run in chosen:
            _stage(run, staged / run.id)
        files = {run.id: _digests(staged / run.id) for run in chosen}
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "made_with": __version__,
            "id": _identity(files),
            "runs": files,
        }
        write_file(target, lambda temporary: _zip(temporary, manifest, staged))
    return Bundle(str(manifest["id"]), tuple(files), __version__)


def unpack(source: Path, folder: Path) -> Bundle:
    """Check the form of an archive and unpack its runs as a results folder.

    Parameters
    ----------
    source
        The archive.
    folder
        An empty folder.

    Raises
    ------
    InputError
        The file is missing, or no bundle of this version.
    RefusedError
        A file is missing, was added or changed, or is named to be written elsewhere.
    """
    if not source.is_file():
        raise InputError(f"{source} is not a file: expected a bundle.")
    try:
        with zipfile.ZipFile(source) as archive:
            manifest = _manifest(archive, source)
            _check_names(archive, manifest["runs"])
            store = Store(folder, create=True)
            store.make()
            for run_id, files in sorted(manifest["runs"].items()):
                (folder / "runs" / run_id).mkdir(parents=True)
                for name, entry in sorted(files.items()):
                    _extract(archive, run_id, name, entry, folder)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        raise InputError(f"{source} is not a whole zip archive: expected a bundle.") from error
    return Bundle(manifest["id"], tuple(sorted(manifest["runs"])), str(manifest["made_with"]))


def _stage(run: StoredRun, folder: Path) -> None:
    """Copy a run's files, without models, paths and host names; the seal is made again."""
    run.check()
    if run.status != "complete":
        raise InputError(f"Run {run.id} is {run.status}, and a bundle has complete runs only.")
    if _ABSOLUTE.search(json.dumps(run.cell)):
        raise InputError(
            f"Run {run.id} cannot be in a bundle: its identity names a path of this machine "
            "(of its network, for example)."
        )
    folder.mkdir()
    for path in sorted(run.folder.iterdir()):
        if path.suffix == ".parquet" and _FILE.fullmatch(path.name):
            shutil.copyfile(path, folder / path.name)
    labels = dict(run.labels)
    secret = [p for p in (_path_in(labels.get(k)) for k in ("dataset", "init")) if p]
    content = read_json(run.folder / RUN)
    write_json(folder / RUN, {**content, "labels": _cleaned(labels, secret)})
    write_json(folder / ENVIRONMENT, _cleaned(run.environment, secret))
    seal = {SEAL: sealed(folder, run.summary)} if run.seal else {}
    write_json(folder / SUMMARY, {**run.summary, **seal})


def _path_in(label: Any) -> str:
    """Return the path in a label such as npz:PATH."""
    return str(label).partition(":")[2] if isinstance(label, str) and ":" in label else ""


def _cleaned(value: Any, paths: list[str]) -> Any:
    """Return a value in which paths are their last parts, and this machine's name is HOST."""
    if isinstance(value, Mapping):  # under torchrun, an environment names all machines
        kept = {key: one for key, one in value.items() if key not in _HOSTS}
        return {key: _cleaned(one, paths) for key, one in kept.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(one, paths) for one in value]
    if not isinstance(value, str):
        return value
    text = value
    for path in paths:
        text = text.replace(path, re.split(r"[\\/]", path.rstrip("\\/"))[-1])
    text = _ABSOLUTE.sub(lambda found: re.split(r"[\\/]", found.group())[-1], text)
    name = platform.node()
    return re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", "HOST", text) if name else text


def _digests(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        path.name: {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
        }
        for path in sorted(folder.iterdir())
    }


def _identity(files: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    digests = {run: {n: e["sha256"] for n, e in one.items()} for run, one in files.items()}
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def _zip(target: Path, manifest: Mapping[str, Any], staged: Path) -> None:
    # Stored, not compressed: tables are compressed already, and compressors differ in their bytes.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
        archive.writestr(zipfile.ZipInfo(MANIFEST, _EPOCH), text)
        for run_id, files in manifest["runs"].items():
            for name in files:
                info = zipfile.ZipInfo(_member(run_id, name), _EPOCH)
                archive.writestr(info, (staged / run_id / name).read_bytes())


def _member(run_id: str, name: str) -> str:
    return f"runs/{run_id}/{name}"


def _manifest(archive: zipfile.ZipFile, source: Path) -> dict[str, Any]:
    try:
        info = archive.getinfo(MANIFEST)
        if info.file_size > _LARGEST_MANIFEST:
            raise RefusedError(f"{MANIFEST} has {info.file_size:,} bytes: a bundle's has less.")
        content = json.loads(archive.read(info))
    except KeyError as error:
        raise InputError(f"{source} is not a bundle: it has no {MANIFEST}.") from error
    except ValueError as error:
        raise RefusedError(f"{MANIFEST} does not hold whole JSON.") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{source} is not a bundle: its {MANIFEST} says another format.")
    if content.get("version") != VERSION:
        raise InputError(
            f"{source} is a bundle of version {content.get('version')!r}: expected {VERSION}."
        )
    _check_manifest(content)
    return content


def _check_manifest(content: Mapping[str, Any]) -> None:
    runs = content.get("runs")
    if not isinstance(runs, dict) or not runs or "made_with" not in content:
        raise RefusedError(f"{MANIFEST} names no runs.")
    for run_id, files in runs.items():
        if not is_run_id(run_id) or not isinstance(files, dict):
            raise RefusedError(f"{MANIFEST} names a run {run_id!r}: expected 12 digits 0-9, a-f.")
        for name, entry in files.items():
            if not _FILE.fullmatch(name):
                raise RefusedError(f"{MANIFEST} names a file {name!r} that no run has.")
            whole = isinstance(entry, dict) and isinstance(entry.get("bytes"), int)
            if not whole or not re.fullmatch("[0-9a-f]{64}", str(entry.get("sha256"))):
                raise RefusedError(f"{MANIFEST} has no checksum of {_member(run_id, name)}.")
    if _identity(runs) != content.get("id"):
        raise RefusedError("The bundle's id does not follow from its checksums.")


def _check_names(archive: zipfile.ZipFile, runs: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse an archive with other members than the manifest's, before anything is unpacked."""
    expected = {MANIFEST} | {_member(r, name) for r, files in runs.items() for name in files}
    names = [info.filename for info in archive.infolist()]
    for info in archive.infolist():
        name = info.filename
        if name not in expected:
            parts = re.split(r"[\\/]", name)
            outside = ".." in parts or ":" in parts[0] or not parts[0]
            what = "leads out of the bundle" if outside else "is not in its list of files"
            raise RefusedError(f"The file {name!r} {what}.")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise RefusedError(f"The file {name!r} is a link.")
        if names.count(name) > 1:
            raise RefusedError(f"The file {name!r} is in the archive {names.count(name)} times.")
    for run_id, files in runs.items():
        missing = [name for name in files if _member(run_id, name) not in names]
        if files and len(missing) == len(files):
            raise RefusedError(f"Run {run_id} is missing: the list of files has it.")
        if missing:
            raise RefusedError(f"The file {_member(run_id, missing[0])} is missing.")


def _extract(
    archive: zipfile.ZipFile, run_id: str, name: str, entry: Mapping[str, Any], folder: Path
) -> None:
    member = _member(run_id, name)
    digest, size = hashlib.sha256(), 0
    with archive.open(member) as file, (folder / "runs" / run_id / name).open("wb") as out:
        while block := file.read(2**20):
            size += len(block)
            if size > entry["bytes"]:  # before a small archive fills the disk
                break
            digest.update(block)
            out.write(block)
    if size != entry["bytes"] or digest.hexdigest() != entry["sha256"]:
        raise RefusedError(f"The file {member} is not as it was packed: its checksum differs.")
