"""Whatever plugins and results call themselves, the page shows it as text."""

from __future__ import annotations

from pathlib import Path

import pytest
from document import Element, Report, read
from hostile import EVERYTHING, NASTY, SCRIPT, make

pytestmark = pytest.mark.slow  # one large page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, write: Report) -> str:
    return write(make(tmp_path_factory.mktemp("hostile") / "results"), "--title", EVERYTHING)


@pytest.fixture(scope="module")
def document(page: str) -> Element:
    return read(page)


def shown(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else "�" for c in text).split())


def test_nothing_becomes_an_element(page: str, document: Element) -> None:
    assert len(document.all("script")) == 1
    assert len(document.all("style")) == 1 + len(
        [s for svg in document.all("svg", class_="picture") for s in svg.all("style")]
    )
    assert SCRIPT not in page
    images = [
        i.attributes for i in document.walk() if i.tag in ("img", "image", "iframe", "object")
    ]
    assert all(i.get("xlink:href", "").startswith("data:image/png;base64,") for i in images)


def test_nothing_becomes_an_attribute(document: Element) -> None:
    for element in document.walk():
        assert not [name for name in element.attributes if name.startswith("on")], element.tag
        assert "x" not in element.attributes or element.tag in ("text", "use", "rect", "image")


def test_nothing_is_computed(page: str) -> None:
    assert "{{7*7}}{% raw %}${7*7}" in page
    assert ">49<" not in page


def test_no_text_turns_the_direction_of_others(page: str) -> None:
    assert not {"\u202e", "\u200f", "\u202d", "\u2066"} & set(page)


def test_every_text_is_readable_as_it_was_written(document: Element) -> None:
    text = document.one("main").text
    for nasty in NASTY:
        assert shown(nasty) in text
    assert document.one("h1").text == shown(EVERYTHING)
    failures = next(t for t in document.all("table") if t.heads()[-1:] == ["reason"])
    reasons = [row[-1] for row in failures.cells()]
    assert f"{shown(EVERYTHING)}: {shown(EVERYTHING)}" in reasons


def test_pictures_hold_the_labels_as_text(document: Element) -> None:
    pictures = document.all("svg", class_="picture")
    assert pictures
    told = {title.text for picture in pictures for title in picture.all("title")}
    for nasty in NASTY[:-1]:
        assert any(" ".join(nasty.split()) in text for text in told), nasty


def test_the_file_is_utf8_whatever_it_holds(tmp_path: Path, page: str) -> None:
    page.encode("utf-8")
    assert '<meta charset="utf-8">' in page[:400]
