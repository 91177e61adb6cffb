"""Files known by their content: the parts of a published data set, and how they are read.

Content is returned only after its checksum was compared, and exactly the compared bytes are
returned (the file is not opened a second time).
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

LARGEST = 2**29
"""Largest size of a file of unknown size, in bytes: limits what is unpacked."""


class DamagedError(Exception):
    """A file whose content does not match its name; the message names it and says what is wrong."""


class IncompleteError(DamagedError):
    """A folder that holds some of a data set's files, all sound, but not all of them."""


class NamesakeError(DamagedError):
    """A sound file of another data set whose files have the same names."""


@dataclass(frozen=True)
class Part:
    """One file of a data set, unpacked.

    Attributes
    ----------
    name
        Its file name; with ".gz" behind it where it is compressed.
    digest
        SHA-256 (64 hex digits) or MD5 (32, where the publisher gives no other) of its content.
    size
        Its length in bytes, or None if only the checksum is known.
    """

    name: str
    digest: str
    size: int | None = None


@dataclass(frozen=True)
class Collection:
    """The files of one data set, in torchvision's layout.

    Attributes
    ----------
    title
        The data set's display name: "MNIST".
    folder
        Where torchvision keeps the files below its root: "MNIST/raw".
    parts
        The files.
    mirrors
        Addresses of folders to download from, each ending in "/", the best first.
    archive
        The .tar.gz that holds `folder` with all parts; None where each part is
        published as NAME.gz.
    marker
        A file that must be next to the parts if they are outside `folder`: for common names such as
        "train".
    system
        Folder of the system's data package below its root, or "".
    namesakes
        Digest to title of another data set's files with the same names.
    """

    title: str
    folder: str
    parts: tuple[Part, ...]
    mirrors: tuple[str, ...] = ()
    archive: Part | None = None
    marker: str = ""
    system: str = ""
    namesakes: Mapping[str, str] = field(default_factory=dict)


Contents = dict[str, np.ndarray]
"""Part name to [size] uint8, its verified bytes."""


def find(root: Path, collection: Collection) -> tuple[Contents, Path] | None:
    """Read a data set from a folder in torchvision's layout, or from files lying loose in it.

    Returns
    -------
    The contents and where they were, or None if the folder does not hold the data set.

    Raises
    ------
    DamagedError
        The folder holds a file of it that is wrong, or only some of its files.
    """
    own = root / collection.folder
    contents = read_folder(own, collection)
    if contents is not None:
        return contents, own
    if collection.archive is not None and _is_file(root / collection.archive.name):
        path = root / collection.archive.name
        return read_archive(path, collection), path
    for loose in (root / "raw", root):
        if not collection.marker or _is_file(loose / collection.marker):
            contents = read_folder(loose, collection, loose=True)
            if contents is not None:
                return contents, loose
    return None


def read_folder(folder: Path, collection: Collection, *, loose: bool = False) -> Contents | None:
    """Read all parts from one folder, each plain or as .gz; None if none of them exists.

    In a `loose` folder, one without the data set's name, the files of a namesake (MNIST's and
    Fashion-MNIST's have the same names) count as missing.
    """
    paths: dict[str, Path] = {}
    for part in collection.parts:
        for path in (folder / part.name, folder / f"{part.name}.gz"):
            if _is_file(path):
                paths[part.name] = path
                break
    if not paths:
        return None
    contents: Contents = {}
    for part in (part for part in collection.parts if part.name in paths):
        try:
            contents[part.name] = read_part(paths[part.name], part, collection)
        except NamesakeError:
            if loose:
                return None
            raise
    missing = [part.name for part in collection.parts if part.name not in paths]
    if missing:
        raise IncompleteError(
            f"{folder} holds only some of {collection.title}'s files: "
            f"{', '.join(missing)} (or .gz) is missing"
        )
    return contents


def read_part(path: Path, part: Part, collection: Collection) -> np.ndarray:
    """Read one part, plain or .gz, and verify its checksum.

    A .gz is verified by its unpacked content: Debian's package, for example, recompresses the
    published content.

    Raises
    ------
    DamagedError
        It cannot be read, is truncated, or has another checksum.
    """
    content = _gunzip(path, part) if path.suffix == ".gz" else _read(path, part)
    return _verified(content, part, str(path), collection)


def read_archive(path: Path, collection: Collection) -> Contents:
    """Read all parts from the published .tar.gz, in memory: nothing is unpacked to disk.

    Raises
    ------
    DamagedError
        The archive or a part in it is wrong or missing.
    """
    assert collection.archive is not None
    _verify(digest_of(path, collection.archive.digest), collection.archive, str(path), collection)
    wanted = {f"{collection.folder}/{part.name}": part for part in collection.parts}
    contents: Contents = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                # Only exact names of regular files count, so a member such as "../x" or a link # is
                # skipped.
                part = wanted.get(member.name)
                if part is None or not member.isreg() or member.size > LARGEST:
                    continue
                stream = archive.extractfile(member)
                assert stream is not None  # a regular file has content
                content = np.frombuffer(bytearray(stream.read()), np.uint8)
                where = f"{member.name} in {path}"
                contents[part.name] = _verified(content, part, where, collection)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DamagedError(f"{path} cannot be unpacked: {error}") from error
    missing = [part.name for part in collection.parts if part.name not in contents]
    if missing:
        raise DamagedError(f"{path} lacks {', '.join(missing)}")
    return contents


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:  # a folder without permission to enter: its content is unknown
        raise DamagedError(f"{path} cannot be read: {error.strerror or error}") from error


def digest_of(path: Path, like: str) -> str:
    """Return a file's checksum in the kind of another one (MD5 or SHA-256, by its length)."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, _kind(like)).hexdigest()
    except OSError as error:
        raise DamagedError(f"{path} cannot be read: {error.strerror or error}") from error


def _kind(digest: str) -> str:
    return {32: "md5", 64: "sha256"}[len(digest)]


def _read(path: Path, part: Part) -> np.ndarray:
    try:
        size = path.stat().st_size
        if part.size is not None and size != part.size:
            raise DamagedError(_wrong_size(path, size, part.size))
        if size > LARGEST:
            raise DamagedError(f"{path} has {size:,} bytes, far more than {part.name} has")
        return np.fromfile(path, np.uint8)
    except OSError as error:
        raise DamagedError(f"{path} cannot be read: {error.strerror or error}") from error


def _gunzip(path: Path, part: Part) -> np.ndarray:
    limit = LARGEST if part.size is None else part.size
    try:
        with gzip.open(path) as file:
            # One byte more than expected shows an overlong content without unpacking all of it;
            # reading to the end also makes gzip compare its own check sum.
            content = bytearray(file.read(limit + 1))
    except EOFError as error:
        raise DamagedError(f"{path} is truncated: its compressed content has no end") from error
    except (OSError, zlib.error) as error:
        raise DamagedError(f"{path} cannot be unpacked: {error}") from error
    if part.size is not None and len(content) != part.size:
        found = f"more than {limit:,}" if len(content) > limit else f"{len(content):,}"
        raise DamagedError(f"{path} unpacks to {found} bytes, expected {part.size:,}")
    return np.frombuffer(content, np.uint8)


def _wrong_size(path: Path, found: int, expected: int) -> str:
    kind = "truncated" if found < expected else "too long"
    return f"{path} is {kind}: it has {found:,} bytes, expected {expected:,}"


def _verified(content: np.ndarray, part: Part, where: str, collection: Collection) -> np.ndarray:
    found = hashlib.new(_kind(part.digest), content.data, usedforsecurity=False).hexdigest()
    _verify(found, part, where, collection)
    return content


def _verify(found: str, part: Part, where: str, collection: Collection) -> None:
    if found == part.digest:
        return
    other = collection.namesakes.get(found)
    if other is not None:
        raise NamesakeError(f"{where} is a file of {other}, not of {collection.title}")
    kind = {"md5": "MD5", "sha256": "SHA-256"}[_kind(part.digest)]
    raise DamagedError(
        f"{where} is not {collection.title}'s {part.name}: its {kind} is {found[:12]}..., "
        f"expected {part.digest[:12]}..."
    )
