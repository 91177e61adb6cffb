"""Papers of plugins as BibTeX, from the one line that a record has of each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pflbench.report.tables import escape
from pflbench.version import __version__

_NUMBER = re.compile(r",?\s*(?:arXiv (?P<arxiv>\d{4}\.\d{4,5}|[a-z-]+/\d{7})|doi (?P<doi>\S+))$")
_YEAR = re.compile(r"^(?P<before>.*?),?\s+(?P<year>(?:19|20)\d{2})$")
_KEY = re.compile(r"[^A-Za-z0-9:-]+")


@dataclass(frozen=True)
class Cited:
    """A paper of one or several plugins.

    Attributes
    ----------
    key
        In BibTeX.
    line
        The citation as the record has it.
    """

    key: str
    line: str

    def bibtex(self) -> str:
        """Return the entry. A record has no title, so the entry has none."""
        found = _NUMBER.search(self.line)
        rest = self.line[: found.start()] if found else self.line
        arxiv = found.group("arxiv") if found else None
        doi = found.group("doi") if found else None
        dated = _YEAR.match(rest)
        before, year = (dated.group("before"), dated.group("year")) if dated else (rest, "")
        if not year and arxiv and arxiv[0].isdigit():
            year = f"20{arxiv[:2]}"
        people, _, last = before.rpartition(", ")
        venue = last if _is_venue(last) else ""
        fields = {
            "author": _authors(people if venue else before),
            "year": year,
            "howpublished": escape.latex(venue),
            "eprint": arxiv or "",
            "archiveprefix": "arXiv" if arxiv else "",
            "doi": doi or "",
            "note": escape.latex(f"Cited by pflbench for {self.key}: {self.line}"),
        }
        return _entry("misc", self.key, fields)


SUITE: Final = "pflbench"
"""The key of this suite."""


def suite_bibtex() -> str:
    """Return the entry of this suite."""
    title = "{pflbench}: a benchmark suite for personalized federated learning"
    fields = {"title": title, "author": "{The pflbench authors}", "note": f"Version {__version__}"}
    return _entry("misc", SUITE, fields)


def cited(papers: Iterable[tuple[str, str]]) -> dict[str, Cited]:
    """Return the papers of plugins, by the plugins' names; those of one paper share it.

    Parameters
    ----------
    papers
        Names and citations; one without a citation is left out.
    """
    by_line: dict[str, Cited] = {}
    found = {}
    for name, line in papers:
        if line:
            key = _KEY.sub("-", name)
            found[name] = by_line.setdefault(line, Cited(key, line))
    return found


def _is_venue(text: str) -> bool:
    """Whether a part of a citation is a venue: an abbreviation, or several capital words."""
    return sum(letter.isupper() for letter in text) > 1 and "et al" not in text


def _authors(text: str) -> str:
    people = re.split(r",\s+|\s+and\s+", re.sub(r",?\s+et al\.?$", ", others", text.strip()))
    return escape.latex(" and ".join(filter(None, people)))


def _entry(kind: str, key: str, fields: dict[str, str]) -> str:
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])
