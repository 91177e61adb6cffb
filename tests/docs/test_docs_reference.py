"""The pages of docs/reference are what the docstrings say."""

from __future__ import annotations

import importlib
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from documents import DOCS, ROOT, anchors

FOLDER = DOCS / "reference"


@pytest.fixture(scope="module")
def tool() -> dict[str, Any]:
    """Return the names of the script that writes the pages."""
    return runpy.run_path(str(ROOT / "tools" / "reference.py"))


def test_the_pages_are_those_that_the_tool_writes(tool: dict[str, Any]) -> None:
    written: dict[Path, str] = tool["written"]()
    paths = [*FOLDER.glob("*.md"), DOCS / "write-a-plugin.md"]
    stored = {path: path.read_text("utf-8") for path in paths}
    old = sorted(p.name for p in {*written, *stored} if written.get(p) != stored.get(p))
    assert old == [], "run: python tools/reference.py"


def test_every_public_name_is_documented(tool: dict[str, Any]) -> None:
    for module in tool["MODULES"]:
        text = (FOLDER / f"{module}.md").read_text("utf-8")
        headings = set(re.findall(r"^## (\w+)$", text, re.MULTILINE))
        exported = getattr(importlib.import_module(module), "__all__", [])
        assert {name for name in exported if not name.startswith("__")} <= headings, module
        assert headings, module


def test_their_links_lead_somewhere() -> None:
    for page in FOLDER.glob("*.md"):
        text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
        for file, anchor in re.findall(r"\]\(([\w./-]+\.md)#?([\w-]*)\)", text):
            target = (FOLDER / file).resolve()
            assert target.is_file(), (page.name, file)
            assert not anchor or anchor in anchors(target), (page.name, file, anchor)
