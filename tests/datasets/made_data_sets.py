"""Small data sets in the published file formats."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pflbench_datasets.collection import Collection, Part


def idx_bytes(array: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


def known_as(files: dict[str, bytes], like: Collection, **more: Any) -> Collection:
    """Return a collection like a published one whose files are these."""
    parts = tuple(
        Part(name, hashlib.sha256(content).hexdigest(), len(content))
        for name, content in files.items()
    )
    return replace(like, parts=parts, mirrors=(), namesakes={}, **more)


def write(folder: Path, files: dict[str, bytes], *, packed: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


@dataclass
class Files:
    """A data set's files and the collection that knows them."""

    files: dict[str, bytes]
    collection: Collection
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    archive: bytes = b""


class _Python2Pickler(pickle._Pickler):
    """Writes texts and bytes as Python 2 did, whose pickles the published batches are."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def _save_string(self, value: str | bytes) -> None:
        content = value.encode("latin1") if isinstance(value, str) else value
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(value)

    dispatch[str] = _save_string
    dispatch[bytes] = _save_string


def python2_pickle(value: object) -> bytes:
    file = io.BytesIO()
    _Python2Pickler(file, protocol=2).dump(value)
    return file.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.")


def tar_gz(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def cifar_files(batches: dict[str, Any], like: Collection, extra: dict[str, bytes] = {}) -> Files:  # noqa: B006 - never written
    """Pickle batches and pack them as the publisher does; checksums are MD5, sizes unknown."""
    files = {name: python2_pickle(batch) for name, batch in batches.items()}
    archive = tar_gz({**extra, **{f"{like.folder}/{k}": v for k, v in files.items()}})
    assert like.archive is not None
    collection = replace(
        like,
        parts=tuple(
            Part(name, hashlib.md5(content).hexdigest()) for name, content in files.items()
        ),
        archive=Part(like.archive.name, hashlib.md5(archive).hexdigest()),
        mirrors=(),
    )
    return Files(files, collection, archive=archive)


def cifar_batch(n: int, classes: int, key: str, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "batch_label": "a batch",
        key: [int(c) for c in rng.integers(0, classes, n)],
        "data": rng.integers(0, 256, (n, 3072), dtype=np.uint8),
        "filenames": [f"{i}.png" for i in range(n)],
    }


@dataclass
class Server:
    """What a mirror answers: path to (status, body, announced length).

    Attributes
    ----------
    encoded
        Paths whose body it calls a page packed with gzip.
    """

    url: str
    answers: dict[str, tuple[int, bytes, int]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    encoded: set[str] = field(default_factory=set)

    def serve(self, files: dict[str, bytes]) -> None:
        for name, body in files.items():
            self.answers[f"/{name}"] = (200, body, len(body))
