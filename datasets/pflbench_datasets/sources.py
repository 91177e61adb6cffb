"""Where a data set's files come from: the user's folder, the cache, the system, a download."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from pflbench.errors import InputError
from pflbench.federation import DataRequest
from pflbench_datasets.collection import (
    Collection,
    Contents,
    DamagedError,
    IncompleteError,
    find,
    read_folder,
)
from pflbench_datasets.download import DownloadError, download


def _cache() -> Path:
    return platformdirs.user_cache_path("pflbench") / "data"


@dataclass(frozen=True)
class Places:
    """The places to search in addition to the user's own folder.

    Attributes
    ----------
    cache
        Where downloads are kept, in torchvision's layout.
    system
        Where the system's packages install data sets.
    connect_seconds
        How long a mirror may take to accept a connection: a machine without a network must
        come to its last resort soon.
    """

    cache: Path = field(default_factory=_cache)
    system: Path = Path("/usr/share/datasets")
    connect_seconds: float = 2.0


@dataclass(frozen=True)
class Obtained:
    """A data set's verified files.

    Attributes
    ----------
    parts
        Part name to its bytes.
    origin
        Where they came from, in words.
    notice
        A notice for the user (a damaged file in the cache), or "".
    """

    parts: Contents
    origin: str
    notice: str = ""


class NotFoundError(Exception):
    """The data set was not found; `looked` lists the places and what was found there."""

    def __init__(self, looked: list[str]) -> None:
        self.looked = "; ".join(looked)
        super().__init__(self.looked)


def obtain(collection: Collection, request: DataRequest, places: Places) -> Obtained:
    """Get a data set's files from the first place that has them.

    Raises
    ------
    InputError
        The user's folder does not exist, or holds a damaged file of the data set: it is never
        silently replaced by another copy.
    NotFoundError
        No place has it.
    """
    looked: list[str] = []
    if request.data_dir is not None:
        root = request.data_dir.expanduser()
        if not root.is_dir():
            raise InputError(
                f"The data folder {root} does not exist: name one with --data-dir or PFLBENCH_DATA."
            )
        try:
            found = find(root, collection)
        except DamagedError as error:
            cure = "Add it" if isinstance(error, IncompleteError) else "Replace or remove it"
            raise InputError(f"{error}. {cure}, or name another folder with --data-dir.") from error
        if found is not None:
            return Obtained(found[0], str(found[1]))
        looked.append(f"{root} has no {collection.folder}")

    damaged: list[str] = []
    try:
        found = find(places.cache, collection)
        if found is not None:
            return Obtained(found[0], "the cache")
        looked.append(f"the cache {places.cache} has none")
    except IncompleteError as error:  # an interrupted download, which is completed below
        looked.append(f"in the cache {error}")
    except DamagedError as error:
        damaged.append(str(error))
        looked.append(f"in the cache {error}")

    if collection.system:
        folder = places.system / collection.system
        try:
            contents = read_folder(folder, collection)
            if contents is not None:
                return Obtained(
                    contents, str(folder), _damage(damaged, f"{folder} was used instead")
                )
            looked.append(f"{folder} has none")
        except DamagedError as error:
            damaged.append(str(error))
            looked.append(f"in the system's package {error}")

    if not request.download:
        looked.append("downloads are switched off")
        raise NotFoundError(looked)
    try:
        mirror = download(collection, places.cache, connect_seconds=places.connect_seconds)
        contents = read_folder(places.cache / collection.folder, collection)
    except (DownloadError, DamagedError) as error:
        looked.append(f"the download failed: {error}")
        raise NotFoundError(looked) from error
    assert contents is not None  # just written, and read back above
    return Obtained(contents, f"a download from {mirror}", _damage(damaged, "downloaded again"))


def not_found(collection: Collection, error: NotFoundError, *, else_: str = "") -> InputError:
    """Return the error for a data set that is nowhere, with the way out."""
    sample = collection.archive.name if collection.archive else f"{collection.parts[0].name}.gz ..."
    layout = sample if collection.archive else f"{collection.folder}/{sample}"
    return InputError(
        f"{collection.title} was not found ({error.looked}): put its files as DIR/{layout} and "
        f"name DIR with --data-dir or PFLBENCH_DATA{else_}."
    )


def _damage(damaged: list[str], remedy: str) -> str:
    return f"Damaged and not used: {'; '.join(damaged)}; {remedy}." if damaged else ""
