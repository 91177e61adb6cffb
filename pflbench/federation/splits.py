"""The three splits of a client's samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

SPLIT_WORDS: Final[Mapping[Split, str]] = {"train": "training", "val": "validation", "test": "test"}
"""The splits in words, for messages."""
