"""How a folder of images is laid out: splits, classes, and layouts that only look like these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pflbench.errors import InputError
from pflbench_datasets.folders import DataFolder, holds_file

SPLITS: Final = ("train", "val", "test")
ENDINGS: Final = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""How images' names end."""

_LIKE_SPLITS: Final = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation"), "test"),
}
"""Usual names of the folders of splits, in lower case."""

Sample = tuple[Path, int]


@dataclass(frozen=True)
class Layout:
    """The files of each class and split.

    Attributes
    ----------
    classes
        Names of the classes, in the order of their labels.
    samples
        Each split's files with their labels; "train" alone where the folders are not named by
        split.
    passed_over
        Files that are no images by their names.
    """

    classes: Sequence[str]
    samples: Mapping[str, Sequence[Sample]]
    passed_over: Sequence[Path]


def read_layout(root: Path) -> Layout:
    """Return the files of PATH/CLASS/image, or PATH/SPLIT/CLASS/image.

    Raises
    ------
    InputError
        It is laid out otherwise, or holds links that bring samples in twice.
    """
    reading = _Reading(root)
    roots = reading.split_roots()
    classes = reading.classes(roots["train"])
    samples = {split: reading.samples(folder, classes) for split, folder in roots.items()}
    reading.folder.once([path for part in samples.values() for path, _ in part])
    for folder in dict.fromkeys((root, *roots.values())):
        images, _ = reading.folder.files(folder, ENDINGS)
        reading.passed_over += images
    return Layout(list(classes), samples, reading.passed_over)


class _Reading:
    """One folder while it is read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = DataFolder(root, "imagefolder")
        self.passed_over: list[Path] = []

    def split_roots(self) -> dict[str, Path]:
        """Return split to folder; all images are "train" where the folders are not named so."""
        folders = self.folder.folders(self.root)
        named = {folder.name: folder for folder in folders if folder.name in SPLITS}
        if not any(self.folder.folders(folder) for folder in named.values()):
            self._refuse_splits(folders)
            return {"train": self.root}  # "train" may well be a class, of vehicles say
        others = [folder.name for folder in folders if folder.name not in SPLITS]
        if others:
            meant = next((_LIKE_SPLITS[n.lower()] for n in others if n.lower() in _LIKE_SPLITS), "")
            hint = f" (rename it to {meant!r} if it is that split)" if meant else ""
            raise InputError(
                f"imagefolder: {self.root} holds {others[0]!r} next to {sorted(named)[0]!r}{hint}: "
                "expected either one folder per class, or train, val and test with the classes' "
                "folders in each."
            )
        if "train" not in named:
            raise InputError(
                f"imagefolder: {self.root} holds {sorted(named)[0]!r} but no 'train' folder."
            )
        return named

    def _refuse_splits(self, folders: Sequence[Path]) -> None:
        """Refuse folders that are all called like splits, and would be taken for classes."""
        if len(folders) < 2 or any(folder.name.lower() not in _LIKE_SPLITS for folder in folders):
            return
        names = ", ".join(repr(folder.name) for folder in folders)
        meant = ", ".join(dict.fromkeys(repr(_LIKE_SPLITS[f.name.lower()]) for f in folders))
        raise InputError(
            f"imagefolder: the folders in {self.root} are {names}, which are splits and no "
            f"classes: expected the names {meant}, with a folder a class in each."
        )

    def classes(self, folder: Path) -> dict[str, int]:
        """Return the classes' names, in sorted order, with their labels."""
        names = [path.name for path in self.folder.folders(folder)]
        if len(names) < 2:
            found = f"only {names[0]!r}" if names else "none"
            raise InputError(
                f"imagefolder: {folder} needs a folder for each of two or more classes, found "
                f"{found}."
            )
        return {name: index for index, name in enumerate(names)}

    def samples(self, folder: Path, classes: Mapping[str, int]) -> list[Sample]:
        """List a split's images in the order of their paths."""
        found: list[Sample] = []
        own = self.folder.folders(folder)
        for path in own:
            if path.name not in classes:
                raise InputError(
                    f"imagefolder: {path} is a class that the training images do not have."
                )
        for path in own:
            self._refuse_nested(path)
            images, others = self.folder.files(path, ENDINGS)
            self.passed_over += others
            if not images:
                raise InputError(f"imagefolder: {path} holds no image ({', '.join(ENDINGS)}).")
            found += [(image, classes[path.name]) for image in images]
        if not found:
            raise InputError(f"imagefolder: {folder} holds no image.")
        return found

    def _refuse_nested(self, folder: Path) -> None:
        """Refuse a class's folder that holds folders of images: it may well be a client's."""
        nested = [path for path in self.folder.folders(folder) if holds_file(path, ENDINGS)]
        if nested:
            raise InputError(
                f"imagefolder: {folder} holds folders of images ({_some(nested)}), where the "
                "images of one class were expected (PATH/CLASS/image, or PATH/train/CLASS/image): "
                f"if {folder.name!r} is a client and {nested[0].name!r} a class, write one .npz a "
                "client with x_train, y_train, x_test and y_test, and name their folder, "
                f"npz:FOLDER; if {folder.name!r} is a class, put its images into it directly."
            )


def _some(paths: Sequence[Path]) -> str:
    names = ", ".join(path.name for path in paths[:3])
    return names if len(paths) <= 3 else f"{names}, ..."
