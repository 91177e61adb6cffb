"""The rounds whose models or predictions a run keeps: "last", "selected" or "every=5"."""

from __future__ import annotations

from pflbench.errors import InputError, nearest
from pflbench.schema.numbers import whole_of

WORDS: tuple[str, ...] = ("last", "selected")
EVERY = "every="


def kept_rounds(written: object, name: str, *, every: bool = True) -> str:
    """Return a choice of rounds, checked.

    Parameters
    ----------
    written
        The choice.
    name
        What messages call it: "keep_models".
    every
        Whether "every=N" is one.

    Raises
    ------
    InputError
        It is none.
    """
    text = str(written).replace(" ", "")
    if text in WORDS:
        return text
    step = whole_of(text.removeprefix(EVERY)) if every and text.startswith(EVERY) else None
    if step is not None and step >= 1:
        return f"{EVERY}{step}"
    expected = "last or selected"
    known = WORDS
    if every:
        expected = "last, selected or every=N with a whole number N ≥ 1"
        known += () if text.startswith(EVERY) else (EVERY,)
    raise InputError(f"{name} {written!r} is not valid: expected {expected}.{nearest(text, known)}")


def wanted_rounds(which: str, selected: int, last: int) -> set[int]:
    """Return the rounds of a choice, for a run that has ended after round `last`."""
    if which == "selected":
        return {selected}
    if which == "last":
        return {last}
    return {last, *range(step_of(which), last + 1, step_of(which))}


def step_of(which: str) -> int:
    """Return N of "every=N", 0 of the others."""
    return int(which.removeprefix(EVERY)) if which.startswith(EVERY) else 0
