"""Figures as markup in a page: ids of its own, the page's colours, text as text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from drawn_results import Drawn, opened
from made_runs import write
from matplotlib.figure import Figure

from pflbench.analysis import CriticalDifference
from pflbench.analysis.history import histories
from pflbench.report.pictures import (
    curves,
    gains,
    pareto,
    partition,
    partition_counts,
    ranks,
    spread,
    svg,
    variables,
)
from pflbench.report.pictures.looks import looks_of

SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"
NASTY = '<script>alert(1)</script> & "quotes" ]]> $x^2$ %s\n\x07é'


def all_figures(drawn: Drawn) -> dict[str, Figure]:
    board = drawn.boards[0]
    runs = histories(board, drawn.store)
    names = [row.algorithm for row in board.rows if row.measures is not None]
    found = CriticalDifference(
        methods=tuple(names),
        average_ranks=tuple(1.0 + i for i in range(len(names))),
        critical_difference=1.1,
        cliques=(tuple(names[:2]),),
        blocks=("b",) * 6,
        data_sets=("b",) * 6,
        friedman_p=0.01,
    )
    return {
        "curves": curves(board, runs, drawn.looks),
        "bytes": curves(board, runs, drawn.looks, x="bytes"),
        "spread": spread(board, drawn.looks),
        "gains": gains(board, drawn.looks),
        "pareto": pareto(board, drawn.looks),
        "ranks": ranks(found, drawn.looks),
        "partition": partition(partition_counts(board, drawn.store)[0]),
    }


@pytest.fixture(scope="module")
def markup(small: Drawn) -> dict[str, str]:
    names = {look.number: look.label for look in small.looks.values()}
    return {
        kind: svg(figure, f"p-{kind}", words=f"Picture of {kind}", names=names)
        for kind, figure in all_figures(small).items()
    }


def test_ids_are_unique_in_a_page_and_every_reference_is_met(markup: dict[str, str]) -> None:
    page = ElementTree.fromstring(f"<div>{''.join(markup.values())}</div>")
    ids = [e.get("id") for e in page.iter() if e.get("id")]
    assert len(ids) == len(set(ids)) > 100
    for kind, text in markup.items():
        root = ElementTree.fromstring(text)
        own = {e.get("id") for e in root.iter() if e.get("id")}
        assert all(str(i).startswith(f"p-{kind}-") for i in own)
        wanted = set(re.findall(r"url\(#([^)]+)\)", text))
        wanted |= {e.get(HREF, "")[1:] for e in root.iter() if e.get(HREF, "").startswith("#")}
        assert wanted
        assert wanted <= own


@pytest.mark.slow
def test_the_same_figure_is_the_same_markup(small: Drawn, markup: dict[str, str]) -> None:
    again = {kind: svg(figure, f"p-{kind}") for kind, figure in all_figures(small).items()}
    for kind, figure in all_figures(small).items():
        assert svg(figure, f"p-{kind}") == again[kind]


def test_the_page_decides_the_colours(small: Drawn, markup: dict[str, str]) -> None:
    said = dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6});", variables(small.looks.values())))
    dark = dict(
        re.findall(r"(--[\w-]+): (#[0-9a-f]{6});", variables(small.looks.values(), dark=True))
    )
    assert set(said) == set(dark)
    assert {"--ink", "--faint", "--grid", "--paper", "--hurt"} <= set(said)
    for kind, text in markup.items():
        for name, printed in re.findall(r"var\((--[\w-]+), (#[0-9a-f]{6})\)", text):
            if kind != "partition":
                assert said[name] == printed
        styles = " ".join(re.findall(r'style="([^"]*)"', text))
        assert "#" not in re.sub(r"var\(--[\w-]+, #[0-9a-f]{6}\)|url\(#[^)]*\)", "", styles)
        assert "<style" not in text  # it would be one for the whole page
        assert "<metadata" not in text


def test_methods_are_groups_that_a_page_can_hide(small: Drawn, markup: dict[str, str]) -> None:
    numbers = {str(small.looks[r.label].number) for r in small.board.rows if r.measures is not None}
    for kind in ("curves", "spread", "pareto", "ranks", "gains"):
        root = ElementTree.fromstring(markup[kind])
        groups = [e for e in root.iter(f"{SVG}g") if e.get("data-method")]
        expected = numbers - ({str(small.looks["local"].number)} if kind == "gains" else set())
        assert {e.get("data-method") for e in groups} == expected
        for group in groups:
            key = group.get("data-part") in ("key", "name")
            assert group.get("class") == ("method key" if key else "method")
            told = group.find(f"{SVG}title")
            assert told is not None
            number = int(str(group.get("data-method")))
            assert small.looks[str(told.text)].number == number
        assert root.get("aria-label") == f"Picture of {kind}"
        assert root.get("role") == "img"
        assert root.get("width") is None
        assert root.get("viewBox")


def test_text_is_text(markup: dict[str, str]) -> None:
    shown = {t.text for t in ElementTree.fromstring(markup["curves"]).iter(f"{SVG}text")}
    assert {"helper", "mixed", "local", "communication round"} <= shown
    assert "test accuracy (%), 2 seeds" in shown
    assert "var(--picture-font" in markup["curves"]
    minus = [t for t in ElementTree.fromstring(markup["gains"]).itertext() if "15" in t]
    assert "−15" in minus or "−10" in "".join(ElementTree.fromstring(markup["gains"]).itertext())


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    root = tmp_path / "results"
    for name in ("local", "evil" + NASTY, "other"):
        parameters = {NASTY: NASTY} if name == "other" else {}
        write(root, name, np.full((2, 9), len(name) % 15 + np.arange(9) % 3), parameters=parameters)
        write(root, name, np.full((2, 9), 7 + np.arange(9) % 4), parameters=parameters, seed=1)
    drawn = opened(root)
    names = {look.number: look.label for look in drawn.looks.values()}
    for kind, figure in all_figures(drawn).items():
        text = svg(figure, "x", names=names, words=NASTY)
        found = ElementTree.fromstring(text)
        tags = {e.tag.removeprefix(SVG) for e in found.iter()}
        assert tags <= {
            "svg",
            "g",
            "path",
            "defs",
            "use",
            "text",
            "tspan",
            "title",
            "clipPath",
            "rect",
            "image",
        }
        assert "<script" not in text
        assert "\x07" not in text
        if kind in ("curves", "gains", "spread"):
            assert '<script>alert(1)</script> & "quotes"' in " ".join(found.itertext())


def test_every_value_of_a_look_is_in_the_variables() -> None:
    seen = looks_of(("a", f"a({i})") for i in range(45))
    said = variables(seen.values())
    assert all(f"--c-{look.colour[1:]}: {look.colour};" in said for look in seen.values())


def test_parts_are_drawn_where_the_numbers_say(small: Drawn, markup: dict[str, str]) -> None:
    """The markup's line has as many points as there are rounds, in the order of the axis."""
    look: Any = small.looks["helper"]
    root = ElementTree.fromstring(markup["curves"])
    (line,) = [
        e
        for e in root.iter(f"{SVG}g")
        if e.get("data-method") == str(look.number) and e.get("data-part") == "line"
    ]
    path = next(e for e in line.iter(f"{SVG}path"))
    points = re.findall(r"([-\d.]+) ([-\d.]+)", str(path.get("d")))
    assert len(points) == 3
    xs = [float(x) for x, _ in points]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.02)
    assert float(points[0][1]) > float(points[2][1])  # upwards, as it learns
