"""Save figures atomically and reproducibly."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pflbench.errors import InputError, WorkError
from pflbench.report.pictures.style import drawing_package, styled
from pflbench.schema.paths import path_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS: Final = ("pdf", "png", "svg")
"""Formats of `save_figure`, by the file's ending."""


def check_picture(path: Path | str) -> str:
    """Return the format of a picture's file name.

    Raises
    ------
    pflbench.errors.InputError
        Another ending, a folder that is not there, or matplotlib is not installed.
    """
    path = path_of(path, "picture")
    ending = path.suffix.lower().lstrip(".")
    if ending not in FORMATS:
        raise InputError(
            f"A picture cannot be saved as {path.name!r}: expected a name that ends in "
            f"{', '.join('.' + name for name in FORMATS[:-1])} or .{FORMATS[-1]}."
        )
    if not path.parent.is_dir():
        raise InputError(
            f"Folder {str(path.parent)!r} does not exist: expected a folder to save the picture in."
        )
    drawing_package()
    return ending


def save_figure(draw: Callable[[], Figure], path: Path | str) -> None:
    """Draw a figure and write it; the ending says the format: .png, .pdf or .svg.

    Raises
    ------
    pflbench.errors.InputError
        Another ending, a folder that is not there, or matplotlib is not installed.
    pflbench.errors.WorkError
        The file cannot be written.
    """
    ending = check_picture(path)
    path = path_of(path, "picture")
    # no date and no random names inside, so that the same picture gives the same file
    stamp = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[ending]
    image = io.BytesIO()
    with styled():
        draw().savefig(image, format=ending, metadata=stamp)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(image.getvalue())
        part.replace(path)
    except OSError as error:
        raise WorkError(f"The picture {str(path)!r} cannot be written: {error}.") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
