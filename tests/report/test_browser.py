"""The page in a real browser: opened, clicked through, printed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from document import Report
from hostile import EVERYTHING, make

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Route

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None, reason="there is no chromium, chromium-browser or google-chrome here"
    ),
    pytest.mark.slow,
]

DESKTOP = {"width": 1400, "height": 900}
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # root, as in a container, has no sandbox to offer
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


class Opened:
    """A page, and all that it asked for or complained of."""

    def __init__(self, browser: Browser, file: Path, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": DESKTOP, **options})
        self.page: Page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.goto(file.as_uri())

    def column(self, table: str, head: str) -> list[str]:
        """Return the texts of the ranked rows below a head."""
        return self.page.evaluate(
            """([table, head]) => {
                const found = document.querySelector(table);
                const heads = [...found.querySelectorAll("thead tr:last-child th")];
                const at = heads.findIndex((h) => h.textContent.trim() === head);
                const words = (cell) => (cell.querySelector("bdi") ?? cell).textContent.trim();
                return [...found.tBodies[0].rows].map((row) => words(row.cells[at]));
            }""",
            [table, head],
        )


@pytest.fixture(scope="module")
def file(page: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("opened") / "report.html"
    path.write_text(page, "utf-8")
    return path


@pytest.fixture
def opened(browser: Browser, file: Path) -> Iterator[Opened]:
    found = Opened(browser, file)
    yield found
    found.context.close()


BOARD = ".scenario table.sortable"


def head_of(opened: Opened, words: str) -> Locator:
    """Return the head of a column of the first board."""
    heads = opened.page.locator(BOARD).first.locator("thead tr:last-child th")
    return heads.filter(has_text=re.compile(rf"^\s*{re.escape(words)}\s*$"))


def test_it_opens_without_network_and_without_complaint(opened: Opened, file: Path) -> None:
    page = opened.page
    for tab in page.locator("[role=tab]").all():
        tab.click()
    page.locator("details.again summary").first.click()
    for legend in page.locator(".legend li:first-child button").all():
        legend.click()
    page.wait_for_timeout(200)
    assert [url for url in opened.requests if not url.startswith("data:")] == [file.as_uri()]
    assert opened.complaints == []


def test_a_script_that_slips_in_is_not_run_and_nothing_is_fetched(
    browser: Browser, page: str, tmp_path: Path
) -> None:
    evil = (
        "<script>alert(1)</script><img src='https://example.org/x.png' onerror='alert(2)'>"
        "<style>body { background: url(https://example.org/y.png) }</style>"
    )
    path = tmp_path / "evil.html"
    path.write_text(page.replace("<main", f"{evil}<main", 1), "utf-8")
    found = Opened(browser, path)
    # What the policy lets through asks here, whether or not there is a network. (Chromium tells
    # of a request that the policy refuses too, so `requests` cannot tell.)
    sent: list[str] = []

    def answer(route: Route) -> None:
        sent.append(route.request.url)
        route.fulfill(status=200, content_type="image/png", body=b"")

    here = ("file:", "data:", "blob:")
    found.page.route(lambda url: not url.startswith(here), answer)
    found.complaints.clear()
    found.page.reload()
    found.page.wait_for_timeout(200)
    assert sent == []
    assert not {"1", "2"} & set(found.complaints)
    refused = [text for text in found.complaints if "Content Security Policy" in text]
    for what in ("https://example.org/x.png", "https://example.org/y.png", "inline script"):
        assert any(what in text for text in refused), found.complaints
    found.context.close()


def test_hostile_results_are_harmless(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory, write: Report
) -> None:
    root = tmp_path_factory.mktemp("hostile")
    path = root / "report.html"
    path.write_text(write(make(root / "results"), "--title", EVERYTHING), "utf-8")
    for viewport in (DESKTOP, PHONE):
        found = Opened(browser, path, viewport=viewport)
        found.page.hover(".scenario tbody tr:first-child th")
        found.page.wait_for_timeout(200)
        assert found.complaints == []
        assert [url for url in found.requests if url.startswith("http")] == []
        width = found.page.evaluate("document.documentElement.scrollWidth")
        assert width <= viewport["width"]
        found.context.close()


def test_a_column_sorts_both_ways(opened: Opened) -> None:
    def accuracies() -> list[float]:
        return [float(t.split(" ")[0]) for t in opened.column(BOARD, "test accuracy")]

    head = head_of(opened, "test accuracy")
    button = head.locator("button")
    ranked = accuracies()
    assert len(set(ranked)) > 1
    button.click()
    assert head.get_attribute("aria-sort") == "descending"
    assert accuracies() == sorted(ranked, reverse=True)
    button.click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert accuracies() == sorted(ranked)


def test_the_keyboard_sorts_and_only_one_column_is_sorted(opened: Opened) -> None:
    head = head_of(opened, "method")
    head.locator("button").focus()
    opened.page.keyboard.press("Enter")
    names = opened.column(BOARD, "method")
    assert names == sorted(names)
    opened.page.keyboard.press("Enter")
    assert opened.column(BOARD, "method") == sorted(names, reverse=True)
    board = opened.page.locator(BOARD).first
    assert board.locator("th[aria-sort=descending]").count() == 1
    assert board.locator("th[aria-sort=ascending]").count() == 0


def test_what_has_no_number_comes_last_both_ways_and_unranked_rows_stay_below(
    opened: Opened,
) -> None:
    button = head_of(opened, "gain over local").locator("button")
    for _ in range(2):
        button.click()
        assert opened.column(BOARD, "gain over local")[-1] == "–"
    table = opened.page.locator("table.sortable", has=opened.page.locator("tbody.unranked")).first
    table.locator("thead button", has_text="test accuracy").first.click()
    assert "unranked" in (table.locator("tbody").last.get_attribute("class") or "")


def test_tabs_show_one_panel_and_arrows_move(opened: Opened) -> None:
    tabs = opened.page.locator(".pictures .tabs").first
    shown = tabs.locator(".panel:visible")
    assert shown.count() == 1
    assert shown.first.get_attribute("data-tab") == "Rounds"
    tabs.get_by_role("tab", name="Bytes").click()
    assert shown.first.get_attribute("data-tab") == "Bytes"
    opened.page.keyboard.press("ArrowRight")
    assert shown.first.get_attribute("data-tab") == "Seconds"
    assert tabs.get_by_role("tab", name="Seconds").get_attribute("aria-selected") == "true"
    opened.page.keyboard.press("Home")
    assert shown.first.get_attribute("data-tab") == "Rounds"


def test_a_method_is_hidden_in_all_pictures_and_dim_in_tables(opened: Opened) -> None:
    page = opened.page
    button = page.locator(".legend button", has_text="fedavg-ft").first
    number = button.locator("xpath=..").get_attribute("data-method")
    drawn = page.locator(f"g.method[data-method='{number}']:not(.key)")
    row = page.locator(f"{BOARD} tr[data-method='{number}']").first
    others = page.locator(f"g.method:not(.key):not([data-method='{number}'])")

    def visibilities(of: Any) -> set[str]:
        return set(of.evaluate_all("es => es.map((e) => getComputedStyle(e).visibility)"))

    assert drawn.count() >= 3
    assert visibilities(drawn) == {"visible"}
    button.click()
    assert visibilities(drawn) == {"hidden"}
    assert visibilities(others) == {"visible"}
    assert button.get_attribute("aria-pressed") == "false"
    opacity = "e => parseFloat(getComputedStyle(e.cells[0]).opacity)"
    assert row.evaluate(opacity) < 0.6
    page.locator(".legend .reset").first.click()
    assert visibilities(drawn) == {"visible"}
    assert row.evaluate(opacity) == 1


def test_the_theme_goes_round(browser: Browser, file: Path) -> None:
    shade = "() => getComputedStyle(document.body).backgroundColor"
    for scheme in ("light", "dark"):
        found = Opened(browser, file, color_scheme=scheme)
        own = found.page.evaluate(shade)
        button = found.page.locator(".theme")
        seen = {}
        for _ in range(3):
            button.click()
            seen[button.text_content()] = found.page.evaluate(shade)
        assert seen["Theme: auto"] == own == seen[f"Theme: {scheme}"]
        assert seen["Theme: light"] != seen["Theme: dark"]
        assert seen["Theme: light"] == "rgb(255, 255, 255)"
        found.context.close()


def test_commands_are_copied(opened: Opened) -> None:
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])
    pasted = "() => navigator.clipboard.readText()"
    for place in (".scenario > .code", f"{BOARD} tbody tr:nth-child(2) th"):
        opened.page.evaluate("() => navigator.clipboard.writeText('nothing')")
        where = opened.page.locator(place).first
        where.hover()
        where.locator(".copy").click()
        where.get_by_text("Copied").wait_for()
        assert opened.page.evaluate(pasted).startswith("pflbench run --algo ")
    name = re.split(r"[ (]", opened.column(BOARD, "method")[1])[0]
    assert f"--algo {name} " in opened.page.evaluate(pasted)


def test_a_phone_scrolls_tables_and_not_the_page(browser: Browser, file: Path) -> None:
    found = Opened(browser, file, viewport=PHONE, has_touch=True, is_mobile=True)
    page = found.page
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert page.evaluate("innerWidth") == PHONE["width"]
    box = page.locator(f".scenario .scroll:has({BOARD.split(' ')[1]})").first
    assert box.evaluate("e => e.scrollWidth > e.clientWidth")
    name = box.locator("tbody th").first
    box.evaluate("e => { e.scrollLeft = 300; }")
    left = name.bounding_box()
    assert left is not None
    assert left["x"] == pytest.approx(box.bounding_box()["x"], abs=1)  # type: ignore[index]
    found.context.close()


def test_paper_shows_everything_and_no_controls(opened: Opened) -> None:
    page = opened.page
    page.locator(".legend button", has_text="fedora").first.click()
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator(".panel").count() > 3
    for panel in page.locator(".panel").all():
        assert panel.is_visible()
    for heading in page.locator(".panel > h5").all():
        assert heading.is_visible()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    for code in page.locator("details.again code").all():
        assert code.is_visible()
    for control in page.locator(".theme, .copy, .tablist, .reset, .bar").all():
        assert not control.is_visible()
    hidden = page.locator("g.method").evaluate_all(
        "es => es.filter((e) => getComputedStyle(e).visibility !== 'visible').length"
    )
    assert hidden == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_without_a_script_all_is_there(browser: Browser, file: Path) -> None:
    found = Opened(browser, file, java_script_enabled=False)
    assert found.page.locator(".panel").count() > 3
    for panel in found.page.locator(".panel").all():
        assert panel.is_visible()
    assert found.page.locator("button").count() == 0
    assert found.complaints == []
    found.context.close()
