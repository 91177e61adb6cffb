"""The names that the data give their clients: their order, and how messages show them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from pflbench.schema.error_text import plain

Names = Sequence[str] | Mapping[int, str]
"""Names by client number."""

_SHOWN: Final = 40
"""Characters of a name that a message or a table shows."""


def natural_order(name: str) -> tuple[tuple[object, ...], str]:
    """Return the key that sorts names as people do: c2 before c10."""
    parts = re.split(r"([0-9]+)", name)
    # Texts are at even places and numbers at odd ones. A number is compared by its digits: it
    # may have more digits than Python turns into an int.
    parts_key = tuple(
        (len(part.lstrip("0")), part.lstrip("0")) if place % 2 else part
        for place, part in enumerate(parts)
    )
    return parts_key, name


def as_unicode(name: str) -> str:
    r"""Return a name that can be written as UTF-8: bytes of a file name that are none become \xfc.

    Python reads such bytes as lone surrogates, which no file of results can hold.
    """
    try:
        raw = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # surrogates that represent no byte
        raw = name.encode("utf-8", "backslashreplace")
    return raw.decode("utf-8", "backslashreplace")


def shown(name: str) -> str:
    """Return a name for display: on one line, shortened, without terminal commands."""
    text = plain(name)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def client_words(number: int, names: Names | None) -> str:
    """Return a client in words: "client 3 (hospital-b)", or "client 3" without names."""
    return f"client {label(number, names)}"


def begin(sentence: str) -> str:
    """Return words with their first letter as at the beginning of a sentence."""
    return sentence[:1].upper() + sentence[1:]


def label(number: int, names: Names | None) -> str:
    """Return a client's number and its name: "3 (hospital-b)"."""
    if isinstance(names, Mapping):
        name = names.get(number, "")
    else:
        name = "" if names is None else names[number]
    # A name that is the number itself would only repeat it.
    return str(number) if name in ("", str(number)) else f"{number} ({shown(name)})"
