"""What a path looks like, for messages: which data set reads it. Nothing is opened but folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

_IMAGES: Final = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
_ENTRIES: Final = 100
"""Entries of a folder that are looked at."""


def pfllib(path: Path) -> str:
    """Return the words for PFLlib's layout, or ""."""
    parts = [path / name for name in ("train", "test")]
    if all(_has(part, (".npz",)) for part in parts):
        return "PFLlib's layout (train/0.npz, test/0.npz)"
    return ""


def leaf(path: Path) -> str:
    """Return the words for LEAF's layout, or ""."""
    for home in (path, path / "data"):
        if all(_has(home / name, (".json",)) for name in ("train", "test")):
            return "LEAF's layout (train/*.json, test/*.json)"
        if _has(home / "all_data", (".json",)):
            return "LEAF's layout (all_data/*.json)"
    return ""


def npz(path: Path) -> str:
    """Return the words for one archive or a folder with one a client, or ""."""
    if path.is_dir():
        return "a folder with an archive a client" if _has(path, (".npz",)) else ""
    return "a NumPy archive" if path.name.lower().endswith(".npz") else ""


def imagefolder(path: Path) -> str:
    """Return the words for a folder of images by class, or ""."""
    folders = [path, path / "train"]
    if any(_has(part, _IMAGES) for folder in folders for part in _folders(folder)):
        return "a folder of images by class"
    return ""


def csv(path: Path) -> str:
    """Return the words for a table as text, or a folder with one a client, or ""."""
    return _tables(path, "CSV", (".csv", ".tsv"))


def parquet(path: Path) -> str:
    """Return the words for a Parquet table, or a folder with one a client, or ""."""
    return _tables(path, "Parquet", (".parquet", ".pq"))


def _tables(path: Path, title: str, endings: tuple[str, ...]) -> str:
    if path.is_dir():
        return f"a folder with a {title} table a client" if _has(path, endings) else ""
    return f"a {title} table" if path.name.lower().endswith(endings) else ""


def _has(folder: Path, endings: tuple[str, ...]) -> bool:
    return any(
        entry.name.lower().endswith(endings) and not entry.name.startswith(".")
        for entry in _entries(folder)
    )


def _folders(folder: Path) -> list[Path]:
    return [Path(entry.path) for entry in _entries(folder) if entry.is_dir(follow_symlinks=False)]


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from islice(entries, _ENTRIES)
    except OSError:  # no folder, or one that may not be read: it looks like nothing
        return
