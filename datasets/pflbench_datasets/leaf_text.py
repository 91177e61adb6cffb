"""Texts of LEAF as tokens: characters by its own table, words by their frequency."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

LETTERS: Final = (
    "\n !\"&'(),-.0123456789:;>?ABCDEFGHIJKLMNOPQRSTUVWXYZ[]abcdefghijklmnopqrstuvwxyz}"
)
"""LEAF's characters, in the order of their numbers (models/utils/language_utils.py)."""

WORDS: Final = 10_000
"""The most frequent words of the training texts that have a number of their own."""

LENGTH: Final = 25
"""Words of a text, as of LEAF's Sent140; shorter texts end with padding."""

PADDING: Final = 0
UNKNOWN: Final = 1


def letters_of(texts: Iterable[str]) -> str:
    """Return the characters by their numbers: LEAF's, if these suffice, else all, sorted."""
    used = set().union(*map(set, texts))
    return LETTERS if used <= set(LETTERS) else "".join(sorted(used))


def characters(texts: Sequence[str], letters: str) -> np.ndarray:
    """Return the numbers [n, length] of the characters of texts of one length."""
    number = {letter: i for i, letter in enumerate(letters)}
    return np.array([[number[c] for c in text] for text in texts], np.int64)


def vocabulary(texts: Iterable[str]) -> dict[str, int]:
    """Return the numbers of words, from 2, the most frequent first, then alphabetically."""
    counts = Counter(word for text in texts for word in _words(text))
    common = sorted(counts, key=lambda word: (-counts[word], word))[:WORDS]
    return {word: i for i, word in enumerate(common, start=UNKNOWN + 1)}


def words(texts: Sequence[str], known: dict[str, int]) -> np.ndarray:
    """Return the numbers [n, LENGTH] of the first words of each text."""
    rows = np.full((len(texts), LENGTH), PADDING, np.int64)
    for row, text in zip(rows, texts, strict=True):
        numbers = [known.get(word, UNKNOWN) for word in _words(text)[:LENGTH]]
        row[: len(numbers)] = numbers
    return rows


def _words(text: str) -> list[str]:
    """Split a text as LEAF's split_line does."""
    return re.findall(r"[\w']+|[.,!?;]", text)
