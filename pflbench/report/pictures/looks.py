"""The look of a method: a colour, a marker and a line style, the same in every picture."""

from __future__ import annotations

import colorsys
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pflbench.analysis.protocol import BASELINE
from pflbench.report.pictures.style import PAPER, SMALL, folded, length, plain, shortened, tag

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from pflbench.analysis import Board

COLOURS: Final = (
    "#0072b2",
    "#de8f05",
    "#009e73",
    "#cc79a7",
    "#d55e00",
    "#8a8a1f",
    "#882255",
    "#7a5230",
    "#6a4c9c",
    "#56b4e9",
)
"""Colours safe for colour-blind readers: mostly those of Okabe and Ito (2008)."""

BASELINE_COLOUR: Final = "#767676"

MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
"""One per colour, so that methods stay distinct in grey."""

DASHES: Final[tuple[Any, ...]] = (
    "-",
    (0, (4, 1.4)),
    (0, (1, 1.1)),
    (0, (5, 1.2, 1, 1.2)),
    (0, (3, 1, 1, 1, 1, 1)),
)
"""Kinds of line, for the variants of a method."""

_SHADES: Final = (0.0, 0.4, -0.35, 0.6)
"""How much lighter (or darker, below 0) the variants beyond the kinds of line are."""

_BESIDE: Final = 0.34
"""Share of a figure's width that names at the left of an axis may take."""

_ROW: Final = 0.135
"""Inches that a row of a legend takes."""


@dataclass(frozen=True)
class Look:
    """How a method with its parameters is drawn.

    Attributes
    ----------
    number
        Unique among all labels; part of the ids of drawn elements.
    label, algorithm
        As on the board, and without parameters.
    colour, marker, dash, hollow
        Colour as #rrggbb; matplotlib's marker and line style; whether the marker is empty.
    """

    number: int
    label: str
    algorithm: str
    colour: str
    marker: str
    dash: Any
    hollow: bool

    @property
    def face(self) -> str:
        """The marker's inside."""
        return PAPER if self.hollow else self.colour

    @property
    def edge(self) -> str:
        """The marker's outline, which separates overlapping markers."""
        return self.colour if self.hollow else PAPER


def looks(boards: Iterable[Board]) -> dict[str, Look]:
    """Return the look of every row's label on some boards, to be used in all their pictures.

    An algorithm's colour and marker are drawn from its name; of two names that draw the same, the
    later one in the alphabet takes the next free one. So a method nearly always keeps its colour on
    every board. The baseline is grey. Rows of one algorithm share its colour and differ in their
    lines.
    """
    return looks_of((row.algorithm, row.label) for board in boards for row in board.rows)


def looks_of(labels: Iterable[tuple[str, str]]) -> dict[str, Look]:
    """Return looks as `looks` does, from algorithms and labels without a board."""
    found: dict[str, set[str]] = {}
    for algorithm, label in labels:
        found.setdefault(algorithm, set()).add(label)
    places = _places(found)
    made: dict[str, Look] = {}
    for name in sorted(found):
        # the shortest label is that of the fewest changes, mostly of the defaults
        for variant, label in enumerate(sorted(found[name], key=lambda t: (len(t), t))):
            made[label] = _look(len(made), label, name, places[name], variant)
    return made


def _places(names: Iterable[str]) -> dict[str, int]:
    """Give each algorithm a place among the colours, laps where all are taken; the baseline -1."""
    n, taken, places = len(COLOURS), set[int](), {}
    for name in sorted(names):
        if name == BASELINE:
            places[name] = -1
            continue
        first = zlib.crc32(name.encode()) % n
        place = next(
            lap * n + (first + step) % n
            for lap in range(len(taken) + 1)
            for step in range(n)
            if lap * n + (first + step) % n not in taken
        )
        taken.add(place)
        places[name] = place
    return places


def _look(number: int, label: str, algorithm: str, place: int, variant: int) -> Look:
    lap, slot = divmod(place, len(COLOURS)) if place >= 0 else (0, -1)
    colour = BASELINE_COLOUR if slot < 0 else COLOURS[slot]
    shade = _SHADES[(variant // (2 * len(DASHES))) % len(_SHADES)]
    return Look(
        number=number,
        label=plain(label),
        algorithm=algorithm,
        colour=_mixed(colour, shade),
        marker=MARKERS[(slot + 4 * lap) % len(MARKERS)],
        dash=DASHES[(variant + lap) % len(DASHES)],
        hollow=bool(variant % 2),
    )


def _mixed(colour: str, share: float) -> str:
    """Return a colour mixed with white, or with black where the share is below 0."""
    to = 255 if share > 0 else 0
    parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(p + abs(share) * (to - p)):02x}" for p in parts)


def on_dark(colour: str) -> str:
    """Return a variant of a look's colour that is visible on a dark background."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    hue, light, strong = colorsys.rgb_to_hls(red, green, blue)
    made = colorsys.hls_to_rgb(hue, max(light, 0.62), strong)
    return "#" + "".join(f"{round(255 * part):02x}" for part in made)


def line(look: Look, **settings: Any) -> dict[str, Any]:
    """Return matplotlib's settings of a method's line."""
    return {"color": look.colour, "linestyle": look.dash, **settings}


def spot(look: Look, size: float = 4.4, **settings: Any) -> dict[str, Any]:
    """Return matplotlib's settings of a method's marker."""
    return {
        "marker": look.marker,
        "markersize": size,
        "markerfacecolor": look.face,
        "markeredgecolor": look.edge,
        "markeredgewidth": 0.8 if look.hollow else 0.5,
        **settings,
    }


def key(look: Look, *, with_line: bool = True, with_spot: bool = True) -> Line2D:
    """Return the legend entry of a method."""
    from matplotlib.lines import Line2D

    dash = look.dash if with_line else ""
    marks = spot(look) if with_spot else {}
    return Line2D([], [], **{**line(look, label=look.label, linestyle=dash), **marks})


def legend_below(
    figure: Figure, methods: Mapping[Look, Artist], others: Iterable[Artist] = ()
) -> None:
    """Put a legend below everything, in as many columns as fit; the figure grows by its height.

    Parameters
    ----------
    figure
        Where to.
    methods
        The legend entry of each method, best first.
    others
        Legend entries of other elements, each with its label.
    """
    width = float(figure.get_figwidth())
    last = list(others)
    beside = 0.5  # inches that a key and the space around it take
    room = [str(handle.get_label()) for handle in (*methods.values(), *last)]
    widest = max(length(text, SMALL) for text in room) + beside
    columns = max(1, min(int((width - 0.1) / widest), len(room), 5))
    short = [_fitted(text, width / columns - beside) for text in room]
    lines = [text.count("\n") + 1 for text in short]
    rows = -(-len(room) // columns)
    tallest = max(sum(lines[i : i + rows]) for i in range(0, len(lines), rows))
    figure.set_figheight(float(figure.get_figheight()) + _ROW * tallest + 0.04)
    # matplotlib leaves out labels that begin with "_": those that are meant are set below
    made = figure.legend(
        [*methods.values(), *last],
        [str(i) for i in range(len(short))],
        loc="outside lower center",
        ncols=columns,
    )
    for words, text in zip(made.get_texts(), short, strict=True):
        words.set_text(text)
    for look, handle, words in zip(methods, made.legend_handles, made.get_texts(), strict=False):
        if handle is not None:
            tag(handle, look, "key")
        tag(words, look, "name")


def _fitted(text: str, room: float) -> str:
    """Break a label between its parameters where it is too long, and cut single words."""
    lines = folded(text, room, SMALL).split("\n")
    return "\n".join(shortened(words, room, SMALL) for words in lines)


def look_of_algorithm(looks: Mapping[str, Look], name: str) -> Look:
    """Return the look of an algorithm, the same for each of its rows."""
    variants = sorted(
        (look for look in looks.values() if look.algorithm == name), key=lambda look: look.number
    )
    if not variants:
        raise KeyError(name)
    return replace(variants[0], label=plain(name))


def named_rows(axes: Axes, looks: Sequence[Look], width: float) -> tuple[float, float]:
    """Name rows 0, 1, ... of an axis from the top: at its left, long names within it.

    Parameters
    ----------
    axes
        Where to.
    looks
        One a row.
    width
        Inches of the figure.

    Returns
    -------
    tuple[float, float]
        Inches that a row takes, and how far from its number, in rows, its marks may reach.
    """
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if max(length(look.label, SMALL) for look in looks) <= _BESIDE * width:
        axes.set_yticks(range(len(looks)), [look.label for look in looks])
        axes.set_ylim(len(looks) - 0.45, -0.55)
        for look, words in zip(looks, axes.get_yticklabels(), strict=True):
            tag(words, look, "name")
        return 0.24, 0.4
    axes.set_yticks([])
    axes.set_ylim(len(looks) - 0.55, -0.82)
    for place, look in enumerate(looks):
        words = axes.text(
            0.0,
            place - 0.33,
            shortened(look.label, width - 0.15, SMALL),
            transform=axes.get_yaxis_transform(),
            fontsize=SMALL,
            va="bottom",
            zorder=6,
        )
        tag(words, look, "name")
    return 0.35, 0.28
