"""The files of a data folder: which are read, skipped or refused.

Hidden files and files that systems create are skipped. Links are followed only to files within the
folder, and each file is read once: a link to a folder would bring samples in twice, and a link out
of the folder would bring in data that are not part of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from pflbench.errors import InputError
from pflbench.schema.content import regular

_LEFT_BEHIND: Final = frozenset(
    (
        "__macosx",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "@eadir",
        "$recycle.bin",
        "system volume information",
        "lost+found",
    )
)
"""Names, in lower case, of files and folders that systems create."""


class DataFolder:
    """A folder of data, and the one way to list its files.

    Parameters
    ----------
    root
        The folder that was named; it may itself be a link.
    owner
        The data set's name, the first word of messages.
    """

    def __init__(self, root: Path, owner: str) -> None:
        self.root, self._owner = root, owner
        self._real = Path(os.path.realpath(root))
        self._targets: dict[Path, Path] = {}

    def folders(self, folder: Path) -> list[Path]:
        """Return the folders in a folder, sorted by name.

        Raises
        ------
        InputError
            The folder cannot be read, one of them is a link, or a link leads nowhere.
        """
        found = []
        for entry in self._entries(folder):
            path = folder / entry.name
            if entry.is_symlink() and not path.exists():  # it may have been meant for a folder
                raise InputError(f"{self._owner}: {path} is a link to nothing.")
            if entry.is_symlink() and path.is_dir():
                raise InputError(
                    f"{self._owner}: {path} is a link to a folder: expected a folder itself, since "
                    "a link may bring samples in twice, or from outside "
                    f"{self.root}."
                )
            if entry.is_dir(follow_symlinks=False):
                if Path(os.path.realpath(path)).name != path.name:  # a junction, on Windows
                    raise InputError(f"{self._owner}: {path} leads to another folder.")
                found.append(path)
        return found

    def files(self, folder: Path, endings: Sequence[str]) -> tuple[list[Path], list[Path]]:
        """Return the files in a folder with these endings, and the other files, sorted by name.

        Raises
        ------
        InputError
            The folder cannot be read; or an entry with such a name is not a file, or is a link to
            nothing, out of the data, or to a file that another link points to.
        """
        wanted, others = [], []
        for entry in self._entries(folder):
            path = folder / entry.name
            if not entry.name.lower().endswith(tuple(endings)):
                others += [path] if entry.is_file(follow_symlinks=False) else []
                continue
            if entry.is_dir(follow_symlinks=False):
                continue
            regular(path, self._owner)
            if entry.is_symlink():
                self._follow(path)
            wanted.append(path)
        return wanted, others

    def once(self, paths: Iterable[Path]) -> None:
        """Check that no file is read twice, directly and by a link.

        Raises
        ------
        InputError
            One is; the message names the link and the file.
        """
        if not self._targets:
            return
        for path in paths:
            link = self._targets.get(self._real / path.relative_to(self.root))
            if link is not None:
                raise InputError(
                    f"{self._owner}: {link} is a link to {path}: expected each file once."
                )

    def _follow(self, link: Path) -> None:
        target = Path(os.path.realpath(link))
        if not target.is_relative_to(self._real):
            raise InputError(
                f"{self._owner}: {link} is a link out of {self.root}: expected the file itself, or "
                "a link to a file within the folder."
            )
        other = self._targets.setdefault(target, link)
        if other is not link:
            raise InputError(
                f"{self._owner}: {link} and {other} are links to one file: expected each file once."
            )

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise InputError(
                f"{self._owner}: {folder} cannot be read: {error.strerror or error}."
            ) from error
        return [
            entry
            for entry in found
            if not entry.name.startswith(".") and entry.name.lower() not in _LEFT_BEHIND
        ]


def is_folder(path: Path, owner: str) -> bool:
    """Return whether a path is a folder.

    Raises
    ------
    InputError
        A folder above it may not be entered.
    """
    try:
        return path.is_dir()
    except OSError as error:
        raise InputError(f"{owner}: {path} cannot be read: {error.strerror or error}.") from error


def holds_file(folder: Path, endings: Sequence[str]) -> bool:
    """Return whether a folder holds a file with such an ending, at any depth, not behind links."""
    return any(
        not name.startswith(".") and name.lower().endswith(tuple(endings))
        for _, _, names in os.walk(folder)
        for name in names
    )
