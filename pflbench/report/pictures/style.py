"""The style of every picture: sizes, fonts, greys, and the marks of methods.

Sizes are those of papers with two columns of 3.4 inches; text is 7 points there. The font comes
with matplotlib, so that a picture is the same file on every machine.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from pflbench.errors import InputError
from pflbench.extras import needed
from pflbench.schema.numbers import number_of

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pflbench.report.pictures.looks import Look

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A", bound="Artist")

Width = str | float
"""`"column"`, `"page"`, or inches."""

WIDTHS: Final = {"column": 3.4, "page": 7.0}
"""Inches: one column of a paper with two, and both."""

NARROWEST, WIDEST = 2.0, 40.0
"""Inches: less has no room for an axis and its numbers, more is no page."""

INK, FAINT, GRID, PAPER = "#1c1e21", "#5b6168", "#dadde1", "#ffffff"
"""Axes and words; secondary words; lines behind the data; the background."""

HURT: Final = "#f6e7e4"
"""Behind values worse than the baseline."""

SMALL: Final = 6.5
"""Points: ticks, legends, labels inside the axes."""

TEXT: Final = 7.0
"""Points: words at the axes."""

_STEPS: Final[tuple[tuple[float, ...], ...]] = (
    (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9),
    (1, 1.5, 2, 3, 4, 5, 7),
    (1, 2, 5),
    (1, 3),
    (1,),
)
"""Numbers at a logarithmic axis, finest first."""

ACCURACY: Final = "test accuracy (%)"


def _settings(text: float, small: float) -> dict[str, Any]:
    """Return matplotlib's settings for words of two sizes."""
    return {
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": text,
        "axes.labelsize": text,
        "axes.titlesize": text,
        "figure.titlesize": text + 1,
        "xtick.labelsize": small,
        "ytick.labelsize": small,
        "legend.fontsize": small,
        "legend.frameon": False,
        "legend.handlelength": 2.6,
        "legend.handletextpad": 0.6,
        "legend.columnspacing": 1.4,
        "legend.labelspacing": 0.35,
        "legend.borderaxespad": 0.3,
        "text.color": INK,
        "text.parse_math": False,  # a label's dollar is a dollar
        "text.usetex": False,
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.unicode_minus": True,
        "axes.facecolor": PAPER,
        "figure.facecolor": PAPER,
        "figure.edgecolor": PAPER,
        "savefig.facecolor": "auto",
        "savefig.bbox": None,
        "savefig.dpi": 300,
        "figure.dpi": 300,
        "grid.color": GRID,
        "grid.linewidth": 0.5,
        "xtick.color": INK,
        "ytick.color": INK,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.minor.width": 0.4,
        "ytick.minor.width": 0.4,
        "xtick.major.size": 2.6,
        "ytick.major.size": 2.6,
        "xtick.minor.size": 1.5,
        "ytick.minor.size": 1.5,
        "lines.linewidth": 1.2,
        "lines.markersize": 4.0,
        "lines.solid_capstyle": "round",
        "patch.linewidth": 0.5,
        "hatch.linewidth": 0.5,
        "pdf.fonttype": 42,  # whole outlines, which publishers require
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": "pflbench",  # no random names, so the same picture is the same file
    }


@contextmanager
def styled(*, text: float = TEXT, small: float = SMALL) -> Iterator[None]:
    """Apply this style for the body of a `with`, regardless of the user's settings.

    Parameters
    ----------
    text, small
        Points of words at the axes, and of ticks and legends.

    Raises
    ------
    InputError
        Matplotlib is not installed.
    """
    matplotlib = drawing_package()
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_settings(text, small))
        yield


def drawing_package(by: str = "A picture") -> Any:
    """Return matplotlib, which `by` needs.

    Raises
    ------
    InputError
        It is not installed.
    """
    return needed("matplotlib", by, "report")


def drawn(draw: Callable[P, T]) -> Callable[P, T]:
    """Make a function draw in this style."""

    @functools.wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> T:
        with styled():
            return draw(*args, **kwargs)

    return inside


def inches(width: Width) -> float:
    """Return a width in inches.

    Raises
    ------
    InputError
        It is neither a name nor a number within bounds.
    """
    if isinstance(width, str) and width in WIDTHS:
        return WIDTHS[width]
    found = number_of(width)
    if found is None or not NARROWEST <= found <= WIDEST:
        raise InputError(
            f"{width!r} is not a picture's width: expected {', '.join(WIDTHS)}, or inches from "
            f"{NARROWEST:g} to {WIDEST:g}."
        )
    return float(found)


def canvas(width: float, height: float, title: str = "") -> Figure:
    """Return an empty figure of this size in inches with automatic layout."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02)  # type: ignore[union-attr,call-arg]
    if title:
        figure.suptitle(folded(plain(title), width, TEXT + 1), fontsize=TEXT + 1)
    return figure


def tag(artist: A, look: Look, part: str) -> A:
    """Say which method an artist belongs to: its id becomes `method-<number>-<part>`.

    `part` is unique among the parts of the method in the figure.
    """
    artist.set_gid(f"method-{look.number}-{part}")
    return artist


def plain(text: str) -> str:
    """Return a text in one line, without unprintable characters."""
    return "".join(c if c.isprintable() else " " for c in text)


def length(text: str, size: float) -> float:
    """Return the width of a text in inches at a font size in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    found = text_to_path.get_text_width_height_descent(text, FontProperties(size=size), False)
    return float(found[0]) / 72


def shortened(text: str, room: float, size: float) -> str:
    """Return a text that fits into a width in inches, its middle cut out if needed."""
    if length(text, size) <= room:
        return text
    for kept in range(len(text) - 2, 1, -1):
        head = -(-2 * kept // 3)
        found = f"{text[:head]}…{text[len(text) - (kept - head) :]}"
        if length(found, size) <= room:
            return found
    return f"{text[:1]}…"


def folded(text: str, room: float, size: float) -> str:
    """Return a text in lines of at most a width in inches, broken between words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and length(longer, size) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def signed(value: float, form: str = "+.1f") -> str:
    """Write a number with its sign, with a typographic minus; no sign if it rounds to 0."""
    text = f"{value:{form}}"
    if not any(c in "123456789" for c in text):
        return text.lstrip("+-")
    return text.replace("-", "−")


def thousands(axis: Any, *, sign: bool = False) -> None:
    """Write an axis' numbers out: 1,000 and 0.5, never 10³."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    def written(value: float, _: object = None) -> str:
        text = f"{value:+,.10g}" if sign and value else f"{value:,.10g}"
        return text.replace("-", "−")

    axis.set_major_formatter(FuncFormatter(written))
    axis.set_minor_formatter(NullFormatter())


def logarithmic(axes: Axes, low: float, high: float) -> None:
    """Make the x axis logarithmic over a range, with numbers that people read."""
    from matplotlib.ticker import FixedLocator

    axes.set_xscale("log")
    axes.set_xlim(low, high)
    major, minor = log_ticks(low, high)
    axes.xaxis.set_major_locator(FixedLocator(major))
    axes.xaxis.set_minor_locator(FixedLocator(minor))
    thousands(axes.xaxis)


def log_ticks(low: float, high: float, most: int = 6) -> tuple[list[float], list[float]]:
    """Return round numbers in a range for a logarithmic axis: with a number, and without."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))

    def within(steps: tuple[float, ...], every: int = 1) -> list[float]:
        found = [step * 10.0**e for e in range(first, last + 1, every) for step in steps]
        return [tick for tick in found if low <= tick <= high]

    for steps in _STEPS:
        if len(major := within(steps)) <= most:
            break
    else:
        major = next(t for n in range(2, 400) if len(t := within((1,), n)) <= most)
    return major, [t for t in within(tuple(range(1, 10))) if t not in major]


def gridded(axes: Axes, which: str = "both") -> None:
    """Draw lines behind the data."""
    axes.grid(visible=True, axis=which)  # type: ignore[arg-type]
