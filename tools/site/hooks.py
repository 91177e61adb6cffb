"""Adds to the site's pages those that are written from plugins, runs and docstrings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from board_pages import Published, board_page, overview, published
from links import relinked
from method_pages import method_page, methods, methods_table, note_file
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
SOURCES: dict[str, str] = {}
"""File in the repository of a page's text, by the page's address: what its links start from."""
PAGES: dict[str, str] = {}
"""Address of a page by its file in the repository."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Write the pages that no file has, and give them their places in the menu."""
    SOURCES.clear()
    PAGES.clear()
    for file in files.documentation_pages():
        SOURCES[file.src_uri] = f"docs/{file.src_uri}"
    _add(files, config, "index.md", (ROOT / "README.md").read_text("utf-8"), "README.md")
    PAGES.update({source: uri for uri, source in SOURCES.items()})
    PAGES.update({f"docs/{file.src_uri}": file.src_uri for file in files.media_files()})

    specs = methods()
    first = "# Methods\n\nAll methods that come with pflbench. [What they share, and which to use "
    first += "when](../methods.md).\n\n"
    _add(files, config, "methods/index.md", first + methods_table(specs), "")
    for spec in specs:
        uri, note = f"methods/{spec.name}.md", note_file(spec)
        _add(files, config, uri, method_page(spec), note)
        PAGES.setdefault(note, uri)

    boards = published(ROOT / "results")
    _add(files, config, "boards/index.md", overview(boards), "")
    PAGES["results/README.md"] = "boards/index.md"
    for one in boards:
        _add(files, config, f"boards/{one.address}.md", board_page(one), "")
        csv = one.board.to_frame().to_csv(index=False)
        files.append(File.generated(config, f"boards/{one.address}/{one.address}.csv", content=csv))
    _place(config, specs=[spec.name for spec in specs], boards=boards, files=files)
    return files


def on_page_markdown(text: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Give links their targets on the site."""
    uri = page.file.src_uri
    source = SOURCES.get(uri)
    repository = config.extra["repository"]
    return relinked(text, source, uri, PAGES, repository) if source else text


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make a table's empty head a cell: a head without words names nothing."""
    return re.sub(r"<th(?: [^>]*)?></th>", "<td></td>", html)


def _add(files: Files, config: MkDocsConfig, uri: str, text: str, source: str) -> None:
    files.append(File.generated(config, uri, content=text))
    if source:
        SOURCES[uri] = source


def _place(config: MkDocsConfig, specs: list[str], boards: list[Published], files: Files) -> None:
    """Fill the menu's parts whose pages are written."""
    python = sorted(
        file.src_uri
        for file in files.documentation_pages()
        if file.src_uri.startswith("reference/")
    )
    parts: dict[str, list[Any]] = {
        "Methods": ["methods/index.md", {"In general": "methods.md"}]
        + [{name: f"methods/{name}.md"} for name in specs],
        "Boards": ["boards/index.md"]
        + [{one.board.title: f"boards/{one.address}.md"} for one in boards],
        "Python": [uri for uri in python if uri.endswith("README.md")]
        + [{Path(uri).stem: uri} for uri in python if not uri.endswith("README.md")],
    }
    pending: list[Any] = list(config.nav or [])
    while pending:
        entry = pending.pop()
        for title, below in entry.items() if isinstance(entry, dict) else ():
            if title in parts:
                entry[title] = parts[title]
            elif isinstance(below, list):
                pending.extend(below)
