"""Links between pages lead somewhere, and every page is reached."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documents import DOCS, PAGES, ROOT, anchors

import pflbench

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def links(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [link for link in LINK.findall(text) if not re.match(r"[a-z]+:", link)]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    for link in links(page):
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in anchors(file), f"{link} has no such heading"


def test_every_page_is_reached_from_the_readme() -> None:
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        reached.add(page)
        targets = [(page.parent / link.partition("#")[0]).resolve() for link in links(page)]
        ahead += [t for t in targets if t.suffix == ".md" and t.exists() and t not in reached]
    unreached = {p.relative_to(ROOT) for p in [*DOCS.glob("*.md"), *PAGES] if p not in reached}
    assert not unreached


def test_every_page_has_its_place_on_the_site() -> None:
    """The reference's pages are placed where they are written."""
    menu = (ROOT / "mkdocs.yml").read_text("utf-8")
    pages = [
        p.relative_to(DOCS).as_posix() for p in DOCS.rglob("*.md") if p.parent.name != "reference"
    ]
    assert not [
        page for page in pages if not re.search(rf": {re.escape(page)}$", menu, re.MULTILINE)
    ]


def test_the_citation_and_the_changelog_are_of_this_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {pflbench.__version__}\n" in citation
    assert pflbench.__version__ in (ROOT / "CHANGELOG.md").read_text("utf-8")
