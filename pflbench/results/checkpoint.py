"""A run's state on disk, from which it resumes.

A checkpoint is a numbered folder with tensors (safetensors; tensors too large for memory are split
into further files, one per part), tables (Parquet), counters (JSON) and a manifest of their SHA-256
and of its own, which reveals damage. It is written under another name and renamed when whole; only
then is the previous one removed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pflbench.errors import DamagedError, Remark, WorkError
from pflbench.results.files import (
    read_arrow,
    read_json,
    reading,
    remove_folder,
    sync_folder,
    temporary_name,
    to_frame,
    write_file,
    write_json,
    write_table,
    writing,
)
from pflbench.schema.scenario import digest

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

_FORMAT = {"format": "pflbench checkpoint", "version": 1}
_FOLDER = re.compile(r"\d{9}")
_TABLE = re.compile(r"[a-z][a-z0-9_]*")
_TENSORS, _COUNTERS, _MANIFEST = "tensors.safetensors", "counters.json", "manifest.json"
_PART = "part-{:06d}.safetensors"
_OWN = "digest"
"""Key of the manifest: the digest of its other keys. Earlier versions wrote none."""


class CheckpointWarning(Remark):
    """A checkpoint is damaged: an older one is used, or the run starts from the beginning."""


@dataclass(frozen=True)
class Checkpoint:
    """The state from which a run resumes.

    Attributes
    ----------
    round
        Rounds that were done when it was written.
    tensors
        By name, on the CPU, with the types they were given in.
    tables, counters
        As given; counters have passed through JSON (tuples are lists, keys are texts).
    """

    round: int
    tensors: Mapping[str, Tensor] = field(repr=False)
    tables: Mapping[str, pd.DataFrame] = field(repr=False)
    counters: Mapping[str, Any] = field(repr=False)
    files: tuple[Path, ...] = field(repr=False, default=())

    def parts(self) -> Iterator[Mapping[str, Tensor]]:
        """Yield the further parts, in order, each read when it is needed.

        Only until the next checkpoint is written: then the files are removed.
        """
        return map(_tensors, self.files)


def save(
    parent: Path,
    round: int,
    tensors: Mapping[str, Tensor],
    tables: Mapping[str, pd.DataFrame],
    counters: Mapping[str, Any],
    parts: Iterable[Mapping[str, Tensor]] = (),
) -> None:
    """Write a checkpoint below `parent`, then remove the earlier ones.

    `parts` are further tensors: each part is written before the next one is computed.

    Raises
    ------
    WorkError
        It could not be written; the one before it is still there.
    """
    for name in tables:
        if not _TABLE.fullmatch(name):
            raise ValueError(f"{name!r} is not a name for a table")
    before = _folders(parent)
    final = parent / f"{int(before[0].name) + 1 if before else 1:09d}"
    new = temporary_name(final)
    with writing(final):
        parent.mkdir(exist_ok=True)  # the run's folder is not made again if it is gone
        new.mkdir()
        try:
            write_file(new / _TENSORS, partial(save_tensors, storable(tensors)))
            count = 0
            for count, part in enumerate(parts, start=1):
                write = partial(save_tensors, storable(part))
                write_file(new / _PART.format(count), write)
            write_json(new / _COUNTERS, counters, allow_nan=True)
            for name, table in tables.items():
                write_table(new / f"{name}.parquet", table)
            digests = {file.name: _digest(file) for file in sorted(new.iterdir())}
            manifest = {
                **_FORMAT,
                "round": round,
                "tables": list(tables),
                "parts": count,
                "sha256": digests,
            }
            write_json(new / _MANIFEST, {**manifest, _OWN: digest(manifest)})
            new.replace(final)
            sync_folder(parent)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
    for older in before:
        remove_folder(older)


def restore(parent: Path, rounds: int | None = None) -> Checkpoint | None:
    """Return the latest whole checkpoint below `parent`, or None.

    Parameters
    ----------
    parent
        Where checkpoints are.
    rounds
        Number of the run's rounds: a checkpoint's round must fit to it, and to its table `rounds`.
        None for no such check.

    Warns
    -----
    CheckpointWarning
        A later one is damaged.
    """
    folders = _folders(parent)
    for folder in folders:
        try:
            found = _load(folder)
            if rounds is not None:
                _check_rounds(folder, found, rounds)
        except DamagedError as error:
            then = "an older one is used" if folder != folders[-1] else "the run starts again"
            warnings.warn(f"{error.said}: {then}.", CheckpointWarning, 3)
        else:
            return found
    return None


def reached(parent: Path) -> int:
    """Return the round of the latest checkpoint below `parent`, or 0.

    The round is read from the manifest; the other files are not checked.
    """
    for folder in _folders(parent):
        try:
            round: int = _manifest(folder)["round"]
        except DamagedError:
            continue
        return round
    return 0


def _folders(parent: Path) -> list[Path]:
    """Return the checkpoints, latest first."""
    if parent.is_symlink() or not parent.is_dir():
        return []
    found = (f for f in parent.iterdir() if _FOLDER.fullmatch(f.name) and not f.is_symlink())
    return sorted(found, reverse=True)


def _manifest(folder: Path) -> dict[str, Any]:
    """Read a checkpoint's manifest and check it without the other files."""
    path = folder / _MANIFEST
    manifest = read_json(path)
    if {key: manifest.get(key) for key in _FORMAT} != _FORMAT:
        raise DamagedError(path, f"{path} is of another format")
    own = manifest.pop(_OWN, None)
    if own is not None and own != digest(manifest):
        raise DamagedError(path, f"{path} is damaged: it is not as it was written")
    round = manifest.get("round")
    if not isinstance(round, int) or isinstance(round, bool) or round < 1:
        raise DamagedError(path, f"{path} is damaged: it says round {round!r}")
    return manifest


def _load(folder: Path) -> Checkpoint:
    path, manifest = folder / _MANIFEST, _manifest(folder)
    names, digests = manifest.get("tables"), manifest.get("sha256")
    count = manifest.get("parts", 0)
    if (
        not isinstance(count, int)
        or not isinstance(digests, dict)
        or not isinstance(names, list)
        or not all(isinstance(name, str) and _TABLE.fullmatch(name) for name in names)
        or not 0 <= count <= len(digests)
        or set(digests)
        != {
            _TENSORS,
            _COUNTERS,
            *(f"{name}.parquet" for name in names),
            *(_PART.format(i) for i in range(1, count + 1)),
        }
    ):
        raise DamagedError(path, f"{path} is damaged")
    for name, expected in digests.items():
        if _digest(folder / name) != expected:
            raise DamagedError(folder / name, f"{folder / name} is damaged")
    tensors = _tensors(folder / _TENSORS)
    tables = {name: _table(folder / f"{name}.parquet") for name in names}
    files = tuple(folder / _PART.format(i) for i in range(1, count + 1))
    counters = read_json(folder / _COUNTERS, allow_nan=True)
    return Checkpoint(manifest["round"], tensors, tables, counters, files)


def _check_rounds(folder: Path, found: Checkpoint, rounds: int) -> None:
    """Refuse a round that is no round to resume after, or that the table of rounds contradicts."""
    if not found.round < rounds:
        path = folder / _MANIFEST
        raise DamagedError(path, f"{path} is damaged: it says round {found.round} of {rounds}")
    path = folder / "rounds.parquet"
    table = found.tables.get("rounds")
    if table is None or "round" not in table:
        raise DamagedError(path, f"{path} is damaged: it has no rounds")
    if not np.array_equal(table["round"], np.arange(1, found.round + 1)):
        raise DamagedError(
            path, f"{path} is damaged: rounds 1 to {found.round} are expected, each once"
        )


def _table(path: Path) -> pd.DataFrame:
    return to_frame(path, read_arrow(path))


def _tensors(path: Path) -> Mapping[str, Tensor]:
    import safetensors.torch  # here: listing and reading results need no torch

    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise DamagedError(path, f"{path} is damaged: {error}") from error


def storable(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors on the CPU, contiguous, no two of them on the same memory."""
    storable: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        address = plain.untyped_storage().data_ptr()
        storable[name] = plain.clone() if address in seen else plain
        seen.add(address)
    return storable


def save_tensors(
    tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write tensors, as `storable` returns them, as safetensors."""
    import safetensors.torch

    try:
        safetensors.torch.save_file(tensors, path, metadata)
    except safetensors.SafetensorError as error:  # its way of passing on the system's errors
        if system := re.search(r"os error (\d+)", str(error)):
            code = int(system[1])
            raise OSError(code, os.strerror(code)) from error
        raise WorkError(f"Results could not be written to {path.parent}: {error}") from error


def _digest(path: Path) -> str:
    with reading(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
