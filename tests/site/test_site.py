"""The site is built without a network, asks no other host, and can be used by all readers.

It is read in headless Chromium, from a server that has nothing but the folder.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
BOARD = "boards/published-7d3281f8a2f6/"
PAGES = ["", "boards/", BOARD, "methods/fedora/", "scenarios/", "cluster/", "architecture/"]
PAGES += ["reference/pflbench/", "write-a-plugin/"]
"""A page of each kind: tables, formulas, a picture, code of each language, links within code."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site; a link or an anchor that leads nowhere fails it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(
    params=[(1280, 900, "light"), (1280, 900, "dark"), (390, 844, "light")],
    ids=["desktop", "dark", "phone"],
)
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    """Yield an empty page that fails the test if it asks another host, or a script fails."""
    width, height, scheme = request.param
    size = {"width": width, "height": height}
    opened = browser.new_page(viewport=size, base_url=address, color_scheme=scheme)
    wrong: list[str] = []
    opened.on("request", lambda r: r.url.startswith(address) or wrong.append(r.url))
    opened.on("response", lambda r: r.ok or r.status == 304 or wrong.append(f"{r.status} {r.url}"))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    yield opened
    opened.close()
    assert not wrong


def test_no_page_is_wider_than_the_screen_and_axe_finds_nothing(page: Page) -> None:
    from axe_playwright_python.sync_playwright import Axe

    found: list[tuple[str, ...]] = []
    for where in PAGES:
        page.goto(where)
        page.wait_for_load_state("networkidle")
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            found.append((where, "wider than the screen"))
        found += [
            (where, one["id"], node["html"][:100], node["failureSummary"])
            for one in Axe().run(page).response["violations"]
            for node in one["nodes"]
        ]
    assert not found


def test_a_board_is_sorted_filtered_and_says_what_its_numbers_are_made_of(page: Page) -> None:
    page.goto("boards/")
    page.locator("thead a").nth(-1).click()
    page.goto(BOARD)
    table = page.locator("table.sortable").first
    head = table.locator("thead button", has_text="test accuracy")
    head.click()
    column = "td:nth-child(4)"
    highest = [float(t.split()[0]) for t in table.locator(column).all_inner_texts()]
    assert len(highest) > 3
    assert highest == sorted(highest, reverse=True)
    head.focus()
    page.keyboard.press("Enter")  # by keys alone, the other way
    lowest = [float(t.split()[0]) for t in table.locator(column).all_inner_texts()]
    assert lowest == sorted(highest)

    page.locator("input.filter").fill("fedora")
    assert table.locator("tbody tr:visible").count() == 1
    table.locator("tbody tr:visible a").click()
    row = page.locator("details.row[open]")
    assert row.count() == 1
    assert "--algo fedora" in row.inner_text()
    means = [float(t) for t in row.locator("td:nth-child(3)").all_inner_texts()]
    shown = table.locator("tbody tr:visible").locator(column).inner_text()
    assert abs(sum(means) / len(means) - float(shown.split()[0])) < 0.006


def test_the_search_finds_a_method(page: Page) -> None:
    page.goto("")
    if page.viewport_size["width"] < 1000:
        page.locator("label.md-header__button[for=__search]").click()
    page.locator("input.md-search__input").fill("propagation")
    page.locator(".md-search-result__link").first.wait_for()
    assert "fedora" in " ".join(page.locator(".md-search-result__link").all_inner_texts()).lower()


def test_links_that_leave_the_pages_are_of_files_that_exist(site: Path) -> None:
    prefix = "https://github.com/pflbench/pflbench/"
    found = {
        link
        for file in site.rglob("*.html")
        for link in re.findall(
            rf'href="{re.escape(prefix)}(?:blob|tree)/main/([^"#]+)', file.read_text("utf-8")
        )
    }
    assert found
    assert not [path for path in found if not (ROOT / path).exists()]
