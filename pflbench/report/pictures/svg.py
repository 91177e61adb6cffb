"""A figure as SVG inside a page: its ids its own, its colours the page's."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree

from pflbench.report.pictures.looks import BASELINE_COLOUR, COLOURS, Look, on_dark
from pflbench.report.pictures.style import FAINT, GRID, HURT, INK, PAPER, plain, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"

VARIABLES: Final = {
    INK: "--ink",
    FAINT: "--faint",
    GRID: "--grid",
    PAPER: "--paper",
    HURT: "--hurt",
}
"""Colours that a page decides, and the CSS variables that say them."""

_DARK: Final = {
    INK: "#e6e8eb",
    FAINT: "#a3aab3",
    GRID: "#3a4048",
    PAPER: "#16181c",
    HURT: "#3a2523",
}

_METHOD: Final = re.compile(r"method-(\d+)-(.+)")
_COLOUR: Final = re.compile(r"#[0-9a-f]{6}\b")
_FONT: Final = re.compile(r"font-family: ([^;]*)")
_FONT_IN_SHORT: Final = re.compile(r"font: ([^;']*?)('[^;]*)")
_NUMBER: Final = re.compile(r"-?\d+\.\d{3,}")


def svg(
    figure: Figure, prefix: str, *, words: str = "", names: Mapping[int, str] | None = None
) -> str:
    """Return a figure as one `<svg>` element for an HTML page.

    Every id in it begins with the prefix. Ink, grid and paper are the CSS variables `--ink`,
    `--faint`, `--grid`, `--paper` and `--hurt`, and a method's colour is `--c-<rrggbb>`, each with
    the printed colour as fallback (`variables` lists them all). The elements of a method are a
    group `<g class="method" data-method="<number>" data-part="line">`; in the legend its class is
    `method key`.

    Parameters
    ----------
    figure
        As any function of this package returns it.
    prefix
        Of every id: letters, digits and hyphens, a letter first; unique in the page.
    words
        A description of the picture for screen readers.
    names
        A method's name by its number, the hover text of its elements.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    image = io.StringIO()
    with styled():
        # savefig draws twice, the first time for the layout, which drawing itself does
        canvas: Any = FigureCanvasSVG(figure)  # whose types do not have this method's
        canvas.print_svg(image, metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(image.getvalue())
    _clear(root)
    _rename(root, prefix)
    for element in root.iter():
        _shorten(element)
        if style := element.get("style"):
            style = _FONT.sub(r"font-family: var(--picture-font, \1)", style)
            style = _FONT_IN_SHORT.sub(r"font: \1var(--picture-font, \2)", style)
            element.set("style", _COLOUR.sub(_variable, style))
        _mark(element, names or {})
    _head(root, words)
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def variables(looks: Iterable[Look] = (), *, dark: bool = False) -> str:
    """Return the CSS declarations of every variable that `svg` uses: `--ink: #1c1e21; ...`."""
    methods = dict.fromkeys((*COLOURS, BASELINE_COLOUR, *(look.colour for look in looks)))
    greys = [f"{name}: {_DARK[colour] if dark else colour};" for colour, name in VARIABLES.items()]
    return " ".join(
        greys + [f"--c-{colour[1:]}: {on_dark(colour) if dark else colour};" for colour in methods]
    )


def _variable(match: re.Match[str]) -> str:
    colour = match[0]
    return f"var({VARIABLES.get(colour, f'--c-{colour[1:]}')}, {colour})"


def _clear(root: ElementTree.Element) -> None:
    """Remove parts that a page does not need; a style for `*` would apply to the whole page."""
    for element in list(root):
        if element.tag == f"{{{_SVG}}}metadata" or element.find(f"{{{_SVG}}}style") is not None:
            root.remove(element)
    root.set("style", "stroke-linejoin: round; stroke-linecap: butt")


def _shorten(element: ElementTree.Element) -> None:
    """Leave out spaces between elements, and digits that no eye sees: hundredths of a point do."""
    if element.tag != f"{{{_SVG}}}text" and not (element.text or "").strip():
        element.text = None
    if not (element.tail or "").strip():
        element.tail = None
    for name in ("d", "x", "y", "width", "height", "transform"):
        if value := element.get(name):
            short = _NUMBER.sub(lambda found: f"{float(found[0]):.2f}", value)
            element.set(name, " ".join(short.split()))


def _rename(root: ElementTree.Element, prefix: str) -> None:
    """Put the prefix before every id and every reference to one, and make ids unique."""
    seen: dict[str, int] = {}
    for element in root.iter():
        name = element.get("id")
        if name is not None:
            seen[name] = seen.get(name, 0) + 1
            more = f"-{seen[name]}" if seen[name] > 1 else ""
            element.set("id", f"{prefix}-{name}{more}")
        for attribute, value in list(element.attrib.items()):
            if attribute == f"{{{_XLINK}}}href" and value.startswith("#"):
                element.set(attribute, f"#{prefix}-{value[1:]}")
            elif "url(#" in value:
                element.set(attribute, value.replace("url(#", f"url(#{prefix}-"))


def _mark(element: ElementTree.Element, names: Mapping[int, str]) -> None:
    """Mark a group with its method, in a form that scripts and styles use."""
    found = _METHOD.search(element.get("id", "")) if element.tag == f"{{{_SVG}}}g" else None
    if found is None:
        return
    number, part = int(found[1]), found[2]
    element.set("class", "method key" if part in ("key", "name") else "method")
    element.set("data-method", str(number))
    element.set("data-part", part)
    if number in names:
        told = ElementTree.Element(f"{{{_SVG}}}title")
        told.text = plain(names[number])
        element.insert(0, told)


def _head(root: ElementTree.Element, words: str) -> None:
    """Let the page decide the size, and describe the picture for screen readers."""
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("class", "picture")
    root.set("role", "img")
    if words:
        root.set("aria-label", plain(words))
