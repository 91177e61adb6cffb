"""The content of a report: plain records, independent of their presentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Whisker:
    """An interval on a scale from 0 to 100: its ends and its middle."""

    low: float
    high: float
    middle: float


@dataclass(frozen=True)
class Entry:
    """One entry of a table.

    Attributes
    ----------
    text
        As people read it.
    key
        Its sort key in a column of numbers; None without a number.
    tone
        "up" or "down" if an interval is entirely above or below 0, else "".
    whisker
        An interval to be drawn next to the text.
    hint
        Its hover text, or "".
    """

    text: str
    key: float | None = None
    tone: str = ""
    whisker: Whisker | None = None
    hint: str = ""


@dataclass(frozen=True)
class Head:
    """The head of a column: `meaning` explains it, `left` says that it is text.

    `section` is the id of the scenario that it names, if it names one; `numeric` says that the
    column is sorted by its entries' keys.
    """

    text: str
    meaning: str = ""
    left: bool = False
    section: str = ""
    numeric: bool = False


@dataclass(frozen=True)
class Group:
    """Neighbouring columns under one title."""

    title: str
    span: int


@dataclass(frozen=True)
class Line:
    """One line of a table.

    Attributes
    ----------
    entries
        One a column.
    method
        The number of the method in this section's legend; None if it belongs to none.
    first
        Whether it is highlighted: its rank is 1.
    reason
        Why the row is not ranked: it replaces the missing entries.
    """

    entries: tuple[Entry, ...]
    method: int | None = None
    first: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Table:
    """A table; `title` may be "", and `sortable` says whether readers may sort it."""

    heads: tuple[Head, ...]
    lines: tuple[Line, ...]
    groups: tuple[Group, ...] = ()
    title: str = ""
    sortable: bool = True

    @property
    def name(self) -> int:
        """The column that names the line, counted from 1: the first, or that after the rank."""
        return 2 if len(self.heads) > 1 and not self.heads[0].left and self.heads[1].left else 1


@dataclass(frozen=True)
class Sheet:
    """Tables that answer one question, under one tab."""

    title: str
    words: str
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class Panel:
    """One picture: `tab` names it among others of its set, `svg` is markup that may be inlined."""

    tab: str
    svg: str = field(repr=False)


@dataclass(frozen=True)
class Pictures:
    """One picture, or several of one kind.

    `absent` says why it is missing; `section` is the id of a scenario that has it instead; a `wide`
    one takes the whole width.
    """

    title: str
    words: str
    panels: tuple[Panel, ...] = ()
    absent: str = ""
    wide: bool = True
    section: str = ""


@dataclass(frozen=True)
class Method:
    """One entry of a section's legend.

    Attributes
    ----------
    number
        The method's in all pictures.
    label
        As on the board.
    dash
        Lengths of strokes and gaps of its line, none for a whole one.
    hollow
        Whether its marker is empty.
    """

    number: int
    label: str
    dash: tuple[float, ...] = ()
    hollow: bool = False


@dataclass(frozen=True)
class Command:
    """The command that runs all seeds of a row again."""

    label: str
    method: int | None
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Environments:
    """Where and how a section's runs were made.

    Attributes
    ----------
    table
        One column per kind of environment, the most common first; differing entries are `first`.
    differences
        Differences between runs, and their consequences.
    """

    table: Table
    differences: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """One scenario.

    Attributes
    ----------
    id, title, words, notes
        As the board has them.
    commands
        The commands that run the whole scenario again.
    methods
        The legend of all pictures.
    leaderboard
        The ranked rows; then the unranked ones, each with its reason.
    sheets
        Further tables.
    again
        The command that runs each row again.
    pictures
        In the order in which they are shown.
    parameters, failures
        None if empty.
    """

    id: str
    title: str
    words: str
    notes: tuple[str, ...]
    commands: tuple[str, ...]
    methods: tuple[Method, ...]
    leaderboard: Table
    sheets: tuple[Sheet, ...]
    again: tuple[Command, ...]
    pictures: tuple[Pictures, ...]
    parameters: Table | None
    failures: Table | None
    environments: Environments | None


@dataclass(frozen=True)
class Report:
    """All that a page shows.

    Attributes
    ----------
    title
        Of the page.
    facts
        Numbers of scenarios and runs, and their dates.
    overview
        All methods on all scenarios; None for a single one.
    ranks
        The critical-difference diagram over all scenarios, or why it is missing.
    sections
        One a scenario.
    headline
        The definition of the accuracies.
    glossary
        The meaning of the columns.
    colors
        Each method's colour as #rrggbb, by its number.
    variables, dark_variables
        CSS declarations of all colours in the pictures.
    """

    title: str
    facts: tuple[str, ...]
    overview: Table | None
    ranks: Pictures
    sections: tuple[Section, ...]
    headline: str
    glossary: Mapping[str, str]
    colors: Mapping[int, str]
    variables: str = field(repr=False)
    dark_variables: str = field(repr=False)
