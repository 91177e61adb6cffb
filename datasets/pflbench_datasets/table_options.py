"""The options behind a table's path: `csv:FILE?client=hospital&label=y`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from pflbench.errors import InputError, suggestion

_ONE: Final = ("label", "client", "split")
_SEVERAL: Final = ("skip", "category")
_USUAL_LABELS: Final = ("label", "y", "target", "class", "Class")


@dataclass(frozen=True)
class Options:
    """What the columns of a table are.

    Attributes
    ----------
    label, client, split
        Names of columns; client and split may lack.
    skip
        Columns that are left out.
    category
        Columns of numbers that are categories.
    """

    label: str | None = None
    client: str | None = None
    split: str | None = None
    skip: tuple[str, ...] = ()
    category: tuple[str, ...] = ()

    def label_in(self, columns: list[str]) -> str:
        """Return the column of labels: the one that was named, or one with a usual name.

        Raises
        ------
        InputError
            None was named, and not exactly one has a usual name.
        """
        if self.label is not None:
            return self.label
        usual = [name for name in _USUAL_LABELS if name in columns]
        if len(usual) == 1:
            return usual[0]
        raise InputError(
            f"The column of labels is not known: expected ?label=NAME behind the path, with one of "
            f"{', '.join(map(repr, columns[:8]))}{', ...' if len(columns) > 8 else ''}."
        )


def parted(written: Path, kind: str) -> tuple[Path, Options]:
    """Return the path and the options of FILE?option=value&option=value.

    A value may be written in percent-encoding. A file whose own name has a question mark is taken
    as it is.

    Raises
    ------
    InputError
        An option is not known, given twice, or without a value.
    """
    text = str(written)
    if "?" not in text or written.exists():
        return written, Options()
    path, _, query = text.rpartition("?")
    one: dict[str, str] = {}
    several: dict[str, list[str]] = {key: [] for key in _SEVERAL}
    for part in query.split("&"):
        key, sign, value = part.partition("=")
        if key not in (*_ONE, *_SEVERAL):
            raise InputError(
                f"{kind}: {key!r} is not an option of {kind}:FILE?label=NAME."
                f"{suggestion(key, (*_ONE, *_SEVERAL))}"
            )
        if not sign or not value:
            raise InputError(f"{kind}: the option {key} has no value: expected {key}=COLUMN.")
        if key in one:
            raise InputError(f"{kind}: the option {key} is given twice.")
        if key in several:
            several[key].append(unquote(value))
        else:
            one[key] = unquote(value)
    return Path(path), Options(
        **one, skip=tuple(several["skip"]), category=tuple(several["category"])
    )
