"""A picture that a command saves in addition to its output (`--save`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pflbench.cli.session import warn
from pflbench.report.pictures.saving import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_picture(draw: Callable[[], Figure], save: Path | None) -> None:
    """Draw a picture into a file and say so, if a file is named."""
    if save is not None:
        save_figure(draw, save)
        warn(f"wrote {save}")
