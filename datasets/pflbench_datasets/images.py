"""`imagefolder:PATH`: images of one size in a folder a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset

from pflbench.errors import InputError
from pflbench.federation import DataRequest, Pool
from pflbench_datasets.holdout import hold_out

SPLITS = ("train", "val", "test")
_GREY = ("1", "L")
_COLOUR = ("RGB", "RGBA", "RGBX", "P", "PA", "LA", "CMYK", "YCbCr", "LAB", "HSV")

Sample = tuple[Path, int]


def load(request: DataRequest) -> Pool:
    """Load PATH/CLASS/image, or PATH/train/CLASS/image with test/ and perhaps val/ beside it.

    Classes are the folders' names in sorted order. Without test/ a fifth of the images, stratified
    by class, becomes the test split. Images of val/ join the training pool, from which as many
    are drawn for validation again: each client needs a share of them.

    Returns
    -------
    Pool of uint8 [n, C, H, W]: C is 1 if all images are grey, else 3.

    Raises
    ------
    InputError
        No such folder, no classes, an image that cannot be read, or images of different sizes;
        the message names the first one that is wrong.
    """
    if request.path is None:
        raise InputError("imagefolder needs the folder of the images: imagefolder:PATH.")
    root = request.path.expanduser()
    if not root.is_dir():
        raise InputError(f"imagefolder: {root} is not a folder.")
    roots = _split_roots(root)
    classes = _classes(roots["train"])
    samples = {split: _samples(folder, classes) for split, folder in roots.items()}
    shape, channels = _shape([path for part in samples.values() for path, _ in part])
    x = {split: _pixels(part, shape, channels) for split, part in samples.items()}
    y = {split: np.array([label for _, label in part], np.int64) for split, part in samples.items()}

    train_x, train_y = x["train"], y["train"]
    if "val" in x:
        train_x, train_y = np.concatenate([train_x, x["val"]]), np.concatenate([train_y, y["val"]])
    if "test" in x:
        test_x, test_y = x["test"], y["test"]
    else:
        test = hold_out(train_y)
        test_x, test_y, train_x, train_y = (
            train_x[test],
            train_y[test],
            train_x[~test],
            train_y[~test],
        )
    return Pool(
        train_x=train_x,
        train_y=train_y,
        test_x=test_x,
        test_y=test_y,
        classes=len(classes),
        source=f"{len(train_y) + len(test_y):,} images from {root}",
        validation=len(y["val"]) if "val" in y else max(1, len(train_y) // 5),
    )


def _split_roots(root: Path) -> dict[str, Path]:
    """Return split to folder; all images are "train" where the folders are not named by split."""
    folders = _folders(root)
    named = {folder.name: folder for folder in folders if folder.name in SPLITS}
    if not any(_folders(folder) for folder in named.values()):
        return {"train": root}  # "train" may well be a class, of vehicles say
    others = [folder.name for folder in folders if folder.name not in SPLITS]
    if others:
        raise InputError(
            f"imagefolder: {root} holds {others[0]!r} beside {sorted(named)[0]!r}: expected either "
            "one folder a class, or train, val and test with the classes' folders in each."
        )
    if "train" not in named:
        raise InputError(f"imagefolder: {root} holds {sorted(named)[0]!r} but no 'train' folder.")
    return named


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise InputError(
            f"imagefolder: {folder} cannot be read: {error.strerror or error}."
        ) from error


def _classes(folder: Path) -> dict[str, int]:
    names = [path.name for path in _folders(folder)]
    if len(names) < 2:
        found = f"only {names[0]!r}" if names else "none"
        raise InputError(
            f"imagefolder: {folder} needs a folder for each of two or more classes, found {found}."
        )
    return {name: index for index, name in enumerate(names)}


def _samples(folder: Path, classes: dict[str, int]) -> list[Sample]:
    """List a split's images in the order of their paths."""
    names = [path.name for path in _folders(folder)]
    for name in names:
        if name not in classes:
            raise InputError(
                f"imagefolder: {folder / name} is a class that the training images do not have."
            )
    present = {name: classes[name] for name in names}
    if present:
        # allow_empty: which class lacks images is said below, in our words
        found = make_dataset(folder, present, extensions=IMG_EXTENSIONS, allow_empty=True)
    else:
        found = []
    held = {label for _, label in found}
    for name in names:
        if classes[name] not in held:
            raise InputError(
                f"imagefolder: {folder / name} holds no image ({', '.join(IMG_EXTENSIONS)})."
            )
    if not found:
        raise InputError(f"imagefolder: {folder} holds no image.")
    return [(Path(path), label) for path, label in found]


def _shape(paths: Sequence[Path]) -> tuple[tuple[int, int], int]:
    """Return the images' common (height, width) and number of channels, from their headers."""
    first: tuple[int, int] | None = None
    grey = True
    for path in paths:
        with _open(path) as image:
            size, mode = image.size, image.mode
        if first is None:
            first = size
        if size != first:
            raise InputError(
                f"imagefolder: {path} is {size[0]}×{size[1]} pixels, but {paths[0]} is "
                f"{first[0]}×{first[1]}: all images must have one size."
            )
        if mode not in (*_GREY, *_COLOUR):
            raise InputError(
                f"imagefolder: {path} is of mode {mode}: expected 8-bit grey or RGB images."
            )
        grey = grey and mode in _GREY
    assert first is not None  # every split holds an image
    return (first[1], first[0]), 1 if grey else 3


def _pixels(samples: Sequence[Sample], shape: tuple[int, int], channels: int) -> np.ndarray:
    """Decode a split's images: [n, channels, height, width] uint8."""
    pixels = np.empty((len(samples), channels, *shape), np.uint8)
    for row, (path, _) in zip(pixels, samples, strict=True):
        with _open(path) as image:
            try:
                decoded = np.asarray(image.convert("L" if channels == 1 else "RGB"))
            except (OSError, ValueError, SyntaxError) as error:  # what Pillow's decoders raise
                raise InputError(f"imagefolder: {path} is damaged: {error}.") from error
        row[:] = decoded if channels == 1 else decoded.transpose(2, 0, 1)
    return pixels


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except UnidentifiedImageError as error:
        raise InputError(f"imagefolder: {path} is not an image, or is damaged.") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"imagefolder: {path} cannot be read: {error}.") from error
