"""Recognising images, and arrays of other things that look like images, by shape and values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isqrt
from typing import Final

import numpy as np

from pflbench.errors import InputError

_CHANNELS: Final = 4
"""Largest number of channels of images: grey, grey and alpha, colour, colour and alpha."""

_DARK: Final = 127
"""Images as bytes reach beyond this somewhere; numbers of other things often do not."""

_BLOCK: Final = 1 << 20
"""Numbers that are looked at together."""


def check_images(shape: tuple[int, ...], what: str) -> None:
    """Check that samples are images (channels, height, width), where images are needed.

    Parameters
    ----------
    shape
        Of one sample.
    what
        The use of images, as the start of a sentence: "rotated turns".

    Raises
    ------
    InputError
        They are not, or their channels are last; the message has the remedy.
    """
    if len(shape) == 3 and not channels_last(shape):
        return
    raise InputError(
        f"{what} images of shape (channels, height, width), and these samples have shape "
        f"{shape}{_way_out(shape)}."
    )


def channels_last(shape: tuple[int, ...]) -> bool:
    """Return whether a sample's shape is (height, width, channels).

    That is a last axis of 1 or 3 behind two larger ones; or of 2 or 4, if the first axis is longer
    than channels are many.
    """
    if len(shape) != 3 or not shape[2] < min(shape[:2]):
        return False
    return shape[2] in (1, 3) or (shape[2] <= _CHANNELS < shape[0])


def way_to_channels_first(shape: tuple[int, ...]) -> str:
    """Return the remedy for samples with channels last, as the end of a sentence."""
    return _way_out(shape) if channels_last(shape) else ""


def _way_out(shape: tuple[int, ...]) -> str:
    if channels_last(shape):
        return ": the channels are last, and x.transpose(0, 3, 1, 2) puts them first"
    if len(shape) == 2 and min(shape) > 1:
        return ": x[:, None] adds the one channel of grey images"
    side = isqrt(shape[0]) if len(shape) == 1 else 0
    if side > 1 and side * side == shape[0]:
        return f": x.reshape(-1, 1, {side}, {side}) makes images of flat ones"
    return ""


def check_pixels(x: np.ndarray, where: str) -> None:
    """Check that bytes are pixels: inputs of uint8 are scaled from 0 to 255 to [0, 1].

    Raises
    ------
    InputError
        A sample has one axis: identifiers (tokens, categories) would be lost by the scaling.
    """
    if x.dtype == np.uint8 and sum(size > 1 for size in x.shape[1:]) < 2:
        raise InputError(
            f"{where} is of type uint8 and its samples have shape {x.shape[1:]}: bytes are taken "
            "for the pixels of images and scaled to [0, 1], and these are no images: "
            "x.astype(np.float32) keeps the numbers as they are, x.astype(np.float32) / 255 "
            "scales them, and pixels may have the shape of their images."
        )


def check_scales(inputs: Iterable[tuple[str, np.ndarray]]) -> None:
    """Check that images in floating point have one scale: 0 to 255 or 0 to 1, not both.

    Parameters
    ----------
    inputs
        Each array with its name.

    Raises
    ------
    InputError
        One array holds whole numbers up to 255 and another one fractions up to 1.
    """
    found: dict[str, str] = {}
    for where, x in inputs:
        scale = _scale(x)
        found.setdefault(scale, where)
        if {"bytes", "unit"} <= set(found):
            raise InputError(
                f"{found['bytes']} holds whole numbers up to 255 and {found['unit']} fractions "
                "from 0 to 1: expected one scale for all images, such as x / 255."
            )


def remarks_on(inputs: Iterable[np.ndarray]) -> str:
    """Return a warning on inputs that may be misread, or ""."""
    arrays = list(inputs)
    said = (_on_shape(tuple(arrays[0].shape[1:])), _on_numbers(arrays))
    return " ".join(filter(None, said))


def _on_shape(shape: tuple[int, ...]) -> str:
    if not channels_last(shape):
        return ""
    return (
        f"The samples have shape {shape}, as images have whose channels are last: they are taken "
        "as they are. Expected channels first of images: x.transpose(0, 3, 1, 2)."
    )


def _on_numbers(arrays: Sequence[np.ndarray]) -> str:
    if all(x.dtype == np.uint8 for x in arrays):
        highest = max(int(x.max()) for x in arrays)
        if highest <= _DARK:
            return (
                f"The inputs are bytes (uint8) from 0 to {highest}: they are taken for pixels and "
                f"divided by 255, so that the largest is {highest / 255:.2g}; as float32 they are "
                "taken as they are."
            )
    elif any(_scale(x) == "bytes" for x in arrays):
        return (
            "The inputs are images of whole numbers from 0 to 255 in floating point: they are "
            "taken as they are; as uint8, or divided by 255, they are from 0 to 1."
        )
    return ""


def _scale(x: np.ndarray) -> str:
    """Return "bytes" for images of whole numbers up to 255, "unit" for fractions up to 1, or ""."""
    if x.dtype.kind != "f" or x.ndim != 4:
        return ""
    rows = max(1, _BLOCK // max(1, x[0].size))
    whole = inside = unit = True
    highest = 0.0
    for start in range(0, len(x), rows):
        block = x[start : start + rows]
        low, high = float(block.min()), float(block.max())
        highest = max(highest, high)
        inside &= low >= 0 and high <= 255
        unit &= low >= 0 and high <= 1
        whole = whole and bool((block == np.floor(block)).all())
        if not inside or not (whole or unit):
            return ""
    if whole:
        return "bytes" if highest > 1 else ""
    return "unit"
