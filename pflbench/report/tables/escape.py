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
    "�": "?",
}


_BEGIN_FORMULAS = tuple("=+-@＝＋－＠")


def markdown(text: str) -> str:
    """Return a text that Markdown shows unchanged, also in a table."""
    return _MARKDOWN.sub(r"\\\1", plain(text))


def latex(text: str) -> str:
    """Return a text that LaTeX shows unchanged."""
    return "".join(_LATEX.get(c, c) for c in plain(text))


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
