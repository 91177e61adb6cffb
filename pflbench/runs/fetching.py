"""Fetching a bundle: from a folder, a file or a web address, checked, into a results folder."""

from __future__ import annotations

import hashlib
import re
import tempfile
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs
from rich.console import Console

from pflbench.downloads import NotDeliveredError, shown, stream
from pflbench.errors import InputError, WorkError
from pflbench.results import Store
from pflbench.results.bundles import RefusedError, unpack
from pflbench.results.files import writing
from pflbench.results.locking import locked
from pflbench.runs.verification import wrong

LARGEST: Final = 2**34
"""Bytes of the largest bundle that is downloaded."""

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


@dataclass(frozen=True)
class Fetched:
    """What came of a bundle.

    Attributes
    ----------
    bundle
        Its id.
    sha256
        Of the archive.
    added
        Ids of the runs that are new in the results folder.
    present
        Ids of those that were complete there before, and stayed.
    """

    bundle: str
    sha256: str
    added: tuple[str, ...]
    present: tuple[str, ...]


def fetch(
    source: str,
    results: Path | str,
    *,
    sha256: str | None = None,
    cache: Path | None = None,
    console: Console | None = None,
) -> Fetched:
    """Add the runs of a bundle to a results folder.

    The archive's form, its checksums and the summaries of its runs are checked as by `verify`
    before anything is written to the results folder. A download that breaks off is continued by the
    next call.

    Parameters
    ----------
    source
        A bundle, a folder with one, or the `http` or `https` address of one.
    results
        The results folder; it is made if it does not exist.
    sha256
        64 hex digits that the archive must have, as published with it.
    cache
        Where downloads are kept until they are complete; by default the user's cache.
    console
        Where progress is shown; standard error by default.

    Raises
    ------
    InputError
        The source is no bundle, the folder no results folder, or the checksum no SHA-256.
    WorkError
        The bundle cannot be downloaded or is refused, or a run cannot be written.
    """
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise InputError(f"{sha256!r} is not a SHA-256: expected 64 digits of 0-9 and a-f.")
    store = Store(results, create=True)
    address = _ADDRESS.match(source)
    if address is None:
        return _added(_file(Path(source).expanduser()), store, sha256)
    if address.group(1).lower() not in ("http", "https"):
        raise InputError(f"{source} cannot be fetched: expected a path, http:// or https://.")
    folder = cache or platformdirs.user_cache_path("pflbench") / "bundles"
    part = folder / f"{hashlib.sha256(source.encode()).hexdigest()[:16]}.part"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(part.with_suffix(".lock")):  # for one process at a time
        _download(source, part, console or Console(stderr=True))
        try:
            fetched = _added(part, store, sha256)
        except (InputError, RefusedError) as error:
            part.unlink(missing_ok=True)  # else it would be refused again, and never loaded again
            kind = RefusedError if isinstance(error, RefusedError) else InputError
            raise kind(str(error).replace(str(part), source)) from error
        part.unlink(missing_ok=True)
    return fetched


def _file(path: Path) -> Path:
    """Return the bundle that a path names, itself or as the one of its folder."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise InputError(f"{path} does not exist: expected a bundle, or a folder with one.")
    found = sorted(one for one in path.glob("*.zip") if one.is_file())
    if len(found) != 1:
        names = ", ".join(one.name for one in found[:5])
        many = f"has {len(found)} ({names}): name one" if found else "has none"
        raise InputError(f"The folder {path} {many}: expected one bundle, NAME.zip.")
    return found[0]


def _download(address: str, part: Path, console: Console) -> None:
    split = urllib.parse.urlsplit(address)
    try:
        name = Path(split.path).name or "the bundle"
        with writing(part), shown(console, name, split.hostname or address) as progress:
            stream(address, part, progress, largest=LARGEST, resume=True)
    except NotDeliveredError as error:
        raise WorkError(f"{address} could not be downloaded: {error}.") from error


def _added(archive: Path, store: Store, sha256: str | None) -> Fetched:
    """Check an archive, and copy its runs."""
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 is not None and digest != sha256.lower():
        raise RefusedError(f"The bundle has the SHA-256 {digest}: expected {sha256.lower()}.")
    with tempfile.TemporaryDirectory(prefix="pflbench-fetch-") as place:
        bundle = unpack(archive, Path(place))
        unpacked = Store(place)
        runs = []
        for run_id in bundle.runs:
            run = unpacked.get(run_id)
            found = wrong(run)
            if found or run is None:
                raise RefusedError(f"Run {run_id}: {found.replace(f'{place}/runs/', '')}.")
            runs.append(run)
        added = tuple(run.id for run in runs if store.adopt(run))
    present = tuple(run_id for run_id in bundle.runs if run_id not in added)
    return Fetched(bundle.id, digest, added, present)
