"""Finding an object by the first digits of its id."""

from __future__ import annotations

from collections.abc import Collection

from pflbench.errors import InputError, UnknownNameError


def the_one(start: str, known: Collection[str], kind: str) -> str:
    """Return the id that begins with the given digits.

    Raises
    ------
    InputError
        None, or several, begin so.
    """
    found = [one for one in known if one.startswith(start.lower())]
    if len(found) > 1:
        raise InputError(f"Several {kind}s begin with {start!r}: {', '.join(sorted(found))}.")
    if not found:
        raise UnknownNameError(kind, start, known)
    return found[0]
