"""`imagefolder:PATH`: images of one size in a folder a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from pflbench.errors import InputError
from pflbench.federation import DataRequest, Pool
from pflbench.federation.holdout import for_test
from pflbench.schema.content import described
from pflbench_datasets.folders import is_folder
from pflbench_datasets.layout import Layout, Sample, read_layout

_GREY = ("1", "L")
_ALPHA = ("RGBA", "PA", "LA")
_COLOUR = ("RGB", "RGBX", "P", "CMYK", "YCbCr", "LAB", "HSV", *_ALPHA)


def load(request: DataRequest) -> Pool:
    """Load PATH/CLASS/image, or PATH/train/CLASS/image with test/ and val/, both optional.

    Classes are the folders' names in sorted order. Images of val/ are the validation pool. Without
    test/ a fifth of the images, stratified by class, becomes the test split (of those of train/,
    where there is a val/), without val/ a part of the training images the validation pool.

    Returns
    -------
    Pool of uint8 [n, C, H, W]: C is 1 if all images are grey, else 3.

    Raises
    ------
    InputError
        No such folder, no classes, an image that cannot be read, images of different sizes, or a
        layout that looks like another one; the message names the first one that is wrong.
    """
    if request.path is None:
        raise InputError("imagefolder needs the folder of the images: imagefolder:PATH.")
    root = request.path.expanduser()
    if not is_folder(root, "imagefolder"):
        raise InputError(f"imagefolder: {root} is not a folder.")
    layout = read_layout(root)
    headers = _Headers([path for part in layout.samples.values() for path, _ in part])
    x = {split: _pixels(part, headers) for split, part in layout.samples.items()}
    y = {s: np.array([label for _, label in part], np.int64) for s, part in layout.samples.items()}

    train_x, train_y = x["train"], y["train"]
    if "test" in x:
        test_x, test_y = x["test"], y["test"]
    else:
        test = for_test(train_y)
        test_x, test_y, train_x, train_y = (
            train_x[test],
            train_y[test],
            train_x[~test],
            train_y[~test],
        )
    own = "val" in x
    images = len(train_y) + len(test_y) + (len(y["val"]) if own else 0)
    return Pool(
        train_x=train_x,
        train_y=train_y,
        test_x=test_x,
        test_y=test_y,
        classes=len(layout.classes),
        source=f"{images:,} images from {root}",
        validation=0 if own else max(1, len(train_y) // 5),
        val_x=x["val"] if own else None,
        val_y=y["val"] if own else None,
        remark=" ".join(filter(None, (*_of_layout(layout), *headers.remarks()))),
    )


def _of_layout(layout: Layout) -> list[str]:
    """Describe the use of val/, and the files that are skipped."""
    said = []
    if "val" in layout.samples:
        n = len(layout.samples["val"])
        said.append(
            f"The {_images(n)} of val/ {_be(n)} the validation pool: no client trains on "
            f"{'it' if n == 1 else 'them'}."
        )
    if layout.passed_over:
        n = len(layout.passed_over)
        said.append(
            f"{n:,} file{'s' if n > 1 else ''} {_be(n)} skipped, by name not in a class folder "
            f"or not {'images' if n > 1 else 'an image'}, such as "
            f"{layout.passed_over[0].name}."
        )
    return said


class _Headers:
    """The content of images' headers: their common size and number of channels.

    Raises
    ------
    InputError
        A file is no image, or of another size or kind than others.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.transparent = self.grey = 0
        first: tuple[int, int] | None = None
        for path in paths:
            with _open(path) as image:
                size, mode = image.size, image.mode
                if ";16" in repr(
                    getattr(image, "tile", "")
                ):  # Pillow drops half of the bits of 16-bit colours
                    mode = f"{mode.partition(';')[0]};16"
                self.transparent += mode in _ALPHA or "transparency" in image.info
            first = first or size
            if size != first:
                raise InputError(
                    f"imagefolder: {path} is {size[0]}×{size[1]} pixels, but {paths[0]} is "
                    f"{first[0]}×{first[1]}: all images must have one size."
                )
            if mode not in (*_GREY, *_COLOUR):
                raise InputError(
                    f"imagefolder: {path} is of mode {mode}: expected 8-bit grey or RGB images."
                )
            self.grey += mode in _GREY
        assert first is not None  # every split holds an image
        self.shape = (first[1], first[0])
        self.channels = 1 if self.grey == len(paths) else 3

    def remarks(self) -> list[str]:
        """Describe the conversions of images."""
        said = []
        if self.channels == 3 and self.grey:
            n = self.grey
            said.append(
                f"{_images(n)} {_be(n)} grey and become{'s' if n == 1 else ''} RGB like the others."
            )
        if self.transparent:
            n = self.transparent
            said.append(
                f"{_images(n)} {'has' if n == 1 else 'have'} transparent parts: these "
                "count with the colours that the file gives them."
            )
        return said


def _images(n: int) -> str:
    return f"{n:,} image{'' if n == 1 else 's'}"


def _be(n: int) -> str:
    return "is" if n == 1 else "are"


def _pixels(samples: Sequence[Sample], headers: _Headers) -> np.ndarray:
    """Decode a split's images: [n, channels, height, width] uint8."""
    channels = headers.channels
    pixels = np.empty((len(samples), channels, *headers.shape), np.uint8)
    for row, (path, _) in zip(pixels, samples, strict=True):
        with _open(path) as image:
            try:
                decoded = np.asarray(image.convert("L" if channels == 1 else "RGB"))
            except (OSError, ValueError, SyntaxError) as error:  # raised by Pillow's decoders
                raise InputError(f"imagefolder: {path} is damaged: {error}.") from error
        row[:] = decoded if channels == 1 else decoded.transpose(2, 0, 1)
    return pixels


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except UnidentifiedImageError as error:
        raise InputError(
            f"imagefolder: {path} is {described(path)}, which is not an image, or is damaged."
        ) from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"imagefolder: {path} cannot be read: {error}.") from error
