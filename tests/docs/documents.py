"""Reading the documentation: its files, headings, tables and code blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

PAGES = sorted(
    [*DOCS.glob("*.md"), *ROOT.glob("algorithms/pflbench_algorithms/*/note.md"), *ROOT.glob("*.md")]
)
"""Every page that people read."""

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    language: str
    text: str

    @property
    def file(self) -> str:
        """The file that a block names in its first line, or ""."""
        match = re.match(r"# ([\w./-]+\.\w+)\n", self.text)
        return match.group(1) if match else ""


def blocks(page: Path, language: str) -> list[Block]:
    """Return the fenced blocks of a language, in order."""
    found = [Block(*match.groups()) for match in _BLOCK.finditer(page.read_text("utf-8"))]
    return [block for block in found if block.language == language]


def commands(page: Path, *languages: str) -> list[str]:
    """Return the `pflbench` commands of a page's code blocks, continued lines joined."""
    lines = [
        line.removeprefix("$ ").split("  #")[0].strip()
        for language in languages
        for block in blocks(page, language)
        for line in block.text.replace("\\\n", " ").splitlines()
    ]
    return [
        part.strip()
        for line in lines
        for part in line.split("&&")
        if part.strip().startswith("pflbench ")
    ]


def _headings(page: Path) -> list[tuple[int, int, str]]:
    """Return line number, level and words of each heading; code is full of # that are none."""
    found, code = [], False
    for i, line in enumerate(page.read_text("utf-8").splitlines()):
        code ^= line.startswith("```")
        if not code and (match := re.fullmatch(r"(#+) (.*)", line)):
            found.append((i, len(match.group(1)), match.group(2)))
    return found


def section(page: Path, heading: str) -> str:
    """Return the text from a heading (without its #) up to the next of its level or above."""
    headings = _headings(page)
    ((start, level),) = [(i, depth) for i, depth, words in headings if words == heading]
    end = next((i for i, depth, _ in headings if i > start and depth <= level), None)
    return "\n".join(page.read_text("utf-8").splitlines()[start + 1 : end])


def table(text: str) -> list[dict[str, str]]:
    """Return the first table of a text: a row as header to cell, without code marks."""
    rows = list(_rows(text))
    header = rows[0]
    return [dict(zip(header, row, strict=True)) for row in rows[2:]]


def _rows(text: str) -> Iterator[list[str]]:
    begun = False
    for line in text.splitlines():
        if line.startswith("|"):
            begun = True
            yield [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]
        elif begun:
            return


def column(text: str, header: str) -> list[str]:
    """Return one column of the first table of a text."""
    return [row[header] for row in table(text)]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    kept = [re.sub(r"[^\w\- ]", "", words.lower()) for _, _, words in _headings(page)]
    return {words.replace(" ", "-") for words in kept}
