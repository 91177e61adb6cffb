"""Plain English: docstrings, comments, messages, help texts and pages use no banned phrase."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
WORDS = tomllib.loads((ROOT / "tools" / "words.toml").read_text(encoding="utf-8"))
PHRASES: dict[str, str] = WORDS["phrases"]

CHECKED = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "changelog.d",
    "docs",
    "algorithms",
    "datasets",
    "examples",
    "studies",
    "tools",
    "pflbench",
)
"""Files and folders that are read, from the root."""

WRITTEN = ROOT / "docs" / "reference"
"""Pages made of docstrings, which are read where they are written."""


def pattern(phrases: list[str]) -> re.Pattern[str]:
    """Return an expression that finds any of the phrases, the longest first."""
    longest = sorted(phrases, key=len, reverse=True)
    words = "|".join(r"\s+".join(map(re.escape, phrase.split())) for phrase in longest)
    return re.compile(rf"(?<![\w.`-])(?:{words})(?![\w-])", re.IGNORECASE)


BANNED = pattern(list(PHRASES))
ALLOWED = pattern([phrase for phrases in WORDS["allowed"].values() for phrase in phrases])


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line numbers and texts: a page as a whole, a module's strings and comments."""
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield 1, source
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
    comments: list[tuple[int, str]] = []  # joined where they continue on the next line
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            text = token.string.lstrip("#: ")
            if comments and comments[-1][0] + comments[-1][1].count("\n") + 1 == token.start[0]:
                comments[-1] = (comments[-1][0], f"{comments[-1][1]}\n{text}")
            else:
                comments.append((token.start[0], text))
    yield from comments


def found(path: Path) -> list[str]:
    """Return what is wrong with a file: place, phrase and what to write instead."""
    wrong = []
    for line, text in texts(path):
        flat = " ".join(text.lower().split())
        if not any(phrase in flat for phrase in PHRASES):
            continue
        allowed = [match.span() for match in ALLOWED.finditer(text)]
        for match in BANNED.finditer(text):
            if any(begin <= match.start() and match.end() <= end for begin, end in allowed):
                continue
            phrase = " ".join(match[0].lower().split())
            where = line + text.count("\n", 0, match.start())
            wrong.append(f"{path}:{where}: '{phrase}': write {PHRASES[phrase]}")
    return wrong


def files() -> Iterator[Path]:
    """Yield the files to read, without caches and build folders."""
    for name in CHECKED:
        path = ROOT / name
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            hidden = any(part.startswith(".") or part == "build" for part in file.parts)
            if file.suffix in (".py", ".md") and not hidden and WRITTEN not in file.parents:
                yield file


@pytest.mark.slow
def test_no_banned_phrase() -> None:
    wrong = [sentence for file in files() for sentence in found(file)]
    assert not wrong, "\n" + "\n".join(wrong).replace(f"{ROOT}/", "")


def test_banned_phrases_are_found_with_their_lines(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        '"""Fine.\n\nRuns go\non."""\n\n# Files lie\n# here.\n'
        'x = f"{1} is told"\ny = "told apart"\n',
        encoding="utf-8",
    )
    page = tmp_path / "page.md"
    page.write_text("Fine.\n\nWhat there\nis. Nobody-else is fine, layer too.\n", encoding="utf-8")
    assert [re.sub(r"^.*?(\w+\.\w+:\d+: '[^']*').*", r"\1", w) for w in found(module)] == [
        "module.py:3: 'go on'",
        "module.py:8: 'told'",
        "module.py:6: 'lie'",
    ]
    assert [w.split("page.md:")[1].split(":")[0] for w in found(page)] == ["3"]
    assert "write 'continue', 'resume'" in found(module)[0]
