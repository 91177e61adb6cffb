"""Printing in any encoding: missing characters are replaced, and never end a command."""

from __future__ import annotations

import codecs
import sys
import unicodedata
from typing import Final, TextIO

_LOOKALIKES: Final = {
    **dict.fromkeys("−–—‐‑─━╌╴╶╸╺╾╼", "-"),
    **dict.fromkeys("│┃╎║", "|"),
    **dict.fromkeys("╭╮╯╰┌┐└┘├┤┬┴┼╞╡╪┏┓┗┛╔╗╚╝╠╣╦╩╬", "+"),
    **dict.fromkeys("‘’ʼ", "'"),
    **dict.fromkeys("“”„", '"'),
    "═": "=",
    "…": "...",
    "±": "+-",
    "×": "x",
    "·": ".",
    "•": "*",
    "†": "*",
    "≥": ">=",
    "‡": "**",
    "↑": "^",
    "√": "sqrt ",
    "≤": "<=",
    "→": "->",
    "←": "<-",
    "✓": "+",
    "✗": "x",
    "█": "#",
    "▓": "%",
    "▒": "+",
    "░": ".",
    "α": "alpha",
    "δ": "delta",
    "ε": "epsilon",
    "λ": "lambda",
    "σ": "sigma",
    "Π": "Pi",
}
"""Replacements of characters that an encoding lacks: letters and signs of ASCII."""

HANDLER: Final = "pflbench.lookalikes"
"""The error handler's name, as streams and codecs take it."""


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(map(_lookalike, lacking)), error.end


def _lookalike(character: str) -> str:
    if character in _LOOKALIKES:
        return _LOOKALIKES[character]
    plain = unicodedata.normalize("NFKD", character)  # é is e and an accent
    return "".join(c for c in plain if c.isascii()) or "?"


def print_in_any_encoding() -> None:
    """Let standard output and error replace characters that their encoding lacks, from now on.

    Windows gives a redirected program cp1252, old logins give Latin-1, and a bare environment
    ASCII.
    """
    codecs.register_error(HANDLER, _replaced)
    codecs.register(_plain_ascii)
    for stream in (sys.stdout, sys.stderr):
        _forgive(stream)


def _forgive(stream: TextIO | None) -> None:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is None:  # closed, or replaced by another program
        return
    ascii_only = codecs.lookup(getattr(stream, "encoding", None) or "ascii").name == "ascii"
    reconfigure(encoding=_ASCII if ascii_only else None, errors=HANDLER)


_ASCII: Final = "pflbench_ascii"


def _plain_ascii(name: str) -> codecs.CodecInfo | None:
    """Return ASCII under another name: Click treats the name ASCII as a mistake.

    It would write UTF-8 instead.
    """
    if name != _ASCII:
        return None
    plain = codecs.lookup("ascii")
    return codecs.CodecInfo(
        plain.encode,
        plain.decode,
        plain.streamreader,
        plain.streamwriter,
        plain.incrementalencoder,
        plain.incrementaldecoder,
        name=_ASCII,
    )
