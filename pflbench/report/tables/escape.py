"""Foreign text (names, parameters, paths) made harmless where it is printed."""

from __future__ import annotations

import re

from pflbench.schema.error_text import plain

__all__ = ["cell", "fence", "latex", "latex_comment", "markdown", "plain"]

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~&$#])")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': r"\textquotedblright{}",  # the straight one needs a different font encoding
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": r"$-$",
    "·": r"$\cdot$",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "↑": r"$\uparrow$",
    "§": r"\textsection{}",
    "…": r"\ldots{}",
    "–": "--",
    "δ": r"$\delta$",
    "ε": r"$\varepsilon$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "�": "?",
    "\u2010": r"-\mbox{}",
}
_HYPHEN = "\u2010"
_NOT_IN_PLAIN_LATEX = frozenset("«»ÐðÞþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲųſ")
"""Latin letters and quotation marks that LaTeX's standard font encoding lacks."""
_LAST_LATIN = "\u017f"


_BEGIN_FORMULAS = tuple("=+-@＝＋－＠")


def markdown(text: str) -> str:
    """Return a text that Markdown shows unchanged, also in a table."""
    return _MARKDOWN.sub(r"\\\1", plain(text))


def latex(text: str) -> str:
    """Return a text that LaTeX shows unchanged; a letter that its fonts lack is [U+4E2D]."""
    shown = re.sub("-(?=-)", _HYPHEN, plain(text))  # two would become a dash
    return "".join(_LATEX.get(c) or _letter(c) for c in shown)


def _letter(character: str) -> str:
    lacking = character > _LAST_LATIN or character in _NOT_IN_PLAIN_LATEX
    return f"[U+{ord(character):04X}]" if lacking else character


def latex_comment(text: str) -> str:
    """Return a text as a LaTeX comment, to be copied from its source."""
    return f"% {plain(text)}"


def cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    shown = plain(text)
    # Some programs skip spaces (from tabs and line breaks), or read wide signs as narrow.
    return f"'{shown}" if shown.lstrip()[:1] in _BEGIN_FORMULAS else shown


def fence(lines: list[str]) -> str:
    """Return lines as a Markdown code block that they cannot end."""
    shown = [plain(line) for line in lines]
    longest = max((len(run) for line in shown for run in re.findall("`+", line)), default=0)
    ticks = "`" * max(3, longest + 1)
    return "\n".join([f"{ticks}sh", *shown, ticks])
