"""Methods are told apart, and keep their looks; nothing collides."""

from __future__ import annotations

from typing import Any

import pytest
from drawn_results import Drawn
from figure_reading import boxes, colliding, outside, parts

from pflbench.analysis import CriticalDifference
from pflbench.analysis.history import histories
from pflbench.errors import InputError
from pflbench.report.pictures import curves, gains, looks, pareto, partition, ranks, spread
from pflbench.report.pictures.labels import place
from pflbench.report.pictures.looks import (
    BASELINE_COLOUR,
    COLOURS,
    key,
    legend_below,
    looks_of,
    on_dark,
)
from pflbench.report.pictures.partition_picture import partition_counts
from pflbench.report.pictures.style import inches, log_ticks, shortened, signed

NAMES = ["fedavg", "fedavg-ft", "fedprox", "fedora", "pfedhn", "pfedhn-pc", "ditto"]


def light(colour: str) -> float:
    """Relative luminance (WCAG 2.1)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_a_method_keeps_its_colour_whatever_else_there_is() -> None:
    both = looks_of((name, name) for name in NAMES)
    for left_out in NAMES:
        some = looks_of((name, name) for name in NAMES if name != left_out)
        same = [some[name].colour == both[name].colour for name in some]
        assert sum(same) >= len(same) - 1  # one whose place was taken may move
    assert looks_of((name, name) for name in reversed(NAMES)) == both


def test_boards_share_one_set_of_looks(published: Drawn) -> None:
    for board in published.boards:
        own = looks([board])
        for row in board.rows:
            assert published.looks[row.label].label == row.label
            assert own[row.label].algorithm == row.algorithm
    numbers = [look.number for look in published.looks.values()]
    assert sorted(numbers) == list(range(len(numbers)))


def test_a_label_that_begins_with_a_line_below_is_in_the_legend() -> None:
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(3.4, 2), layout="constrained")
    made = looks_of((name, name) for name in ("fedavg", "_x", "zeta"))
    legend_below(figure, {made[name]: key(made[name]) for name in ("_x", "zeta", "fedavg")})
    texts = figure.legends[0].get_texts()
    assert [text.get_text() for text in texts] == ["_x", "zeta", "fedavg"]
    for text in texts:
        assert text.get_gid() == f"method-{made[text.get_text()].number}-name"
    plt.close(figure)


def test_thirty_methods_and_forty_variants_are_told_apart() -> None:
    many = looks_of((f"method-{i}", f"method-{i}") for i in range(30)).values()
    assert len({(look.colour, look.marker) for look in many}) == 30
    first = looks_of((f"method-{i}", f"method-{i}") for i in range(len(COLOURS))).values()
    assert {look.colour for look in first} == set(COLOURS)
    assert len({look.marker for look in first}) == len(COLOURS)
    variants = looks_of(("ditto", f"ditto(lam={i})") for i in range(40)).values()
    assert len({look.marker for look in variants}) == 1
    assert len({(look.colour, str(look.dash), look.hollow) for look in variants}) == 40
    few = list(variants)[:10]
    assert len({look.colour for look in few}) == 1


def test_the_baseline_is_grey_and_every_colour_is_seen() -> None:
    assert looks_of([("local", "local"), ("ditto", "ditto")])["local"].colour == BASELINE_COLOUR
    for colour in (*COLOURS, BASELINE_COLOUR):
        assert (1.05) / (light(colour) + 0.05) >= 2.2  # on white paper
        assert (light(on_dark(colour)) + 0.05) / (light("#16181c") + 0.05) >= 4.5


def figures(drawn: Drawn, width: Any) -> dict[str, Any]:
    found = {}
    for board in drawn.boards:
        runs = histories(board, drawn.store)
        for x in ("rounds", "bytes", "seconds"):
            made = curves(board, runs, drawn.looks, x=x, width=width)  # type: ignore[arg-type]
            found[f"{board.title} curves {x}"] = made
        for draw in (spread, gains, pareto):
            if draw is not gains or any(
                row.algorithm == "local" and row.measures for row in board.rows
            ):
                found[f"{board.title} {draw.__name__}"] = draw(board, drawn.looks, width=width)
        counts, _ = partition_counts(board, drawn.store)
        found[f"{board.title} partition"] = partition(counts, width=width)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("width", ["column", "page", 5.5])
def test_no_words_collide_or_leave_the_page(
    width: Any, published: Drawn, small: Drawn, crowd: Drawn
) -> None:
    for drawn in (published, small, crowd):
        for name, figure in figures(drawn, width).items():
            assert figure.get_figwidth() == pytest.approx(inches(width)), name
            assert figure.get_figheight() < 11, name
            assert not colliding(figure), name
            assert not outside(figure), name
            assert min(box[3] - box[1] for box in boxes(figure).values()) > 3, name


@pytest.mark.parametrize("k", [3, 6, 11, 20])
@pytest.mark.parametrize("width", ["column", "page"])
def test_no_words_collide_in_a_diagram_of_ranks(k: int, width: str) -> None:
    names = [f"a-rather-long-name-{i}" for i in range(k)]
    ranked = CriticalDifference(
        methods=tuple(names),
        average_ranks=tuple(1 + i * (k - 1.2) / (k - 1) for i in range(k)),
        critical_difference=k / 4,
        blocks=("b",) * 6,
        data_sets=("b",) * 6,
        friedman_p=0.0001,
        cliques=tuple(tuple(names[i : i + 3]) for i in range(k - 2)),
    )
    figure = ranks(ranked, looks_of((name, name) for name in names), width=width)
    assert not colliding(figure)
    assert not outside(figure)
    assert len(parts(figure, "mark")) == k


@pytest.mark.slow
def test_titles_are_above_and_only_if_asked_for(crowd: Drawn) -> None:
    words = "A title so long that it cannot stand on one line of a column, and so has two of them"
    figure = spread(crowd.board, crowd.looks, title=words)
    (title,) = [box for text, box in boxes(figure).items() if "A title" in text]
    assert not colliding(figure)
    assert not outside(figure)
    assert title[3] <= figure.bbox.extents[3]
    assert figure.get_suptitle().replace("\n", " ") == words
    assert not spread(crowd.board, crowd.looks).get_suptitle()


def test_labels_find_places_beside_their_points() -> None:
    points = [(50.0, 50.0), (52.0, 50.0), (50.0, 53.0), (95.0, 50.0)]
    found = place(points, [(20.0, 8.0)] * 4, (0, 0, 100, 100), [], 3)
    assert found is not None
    for i, one in enumerate(found):
        a = one.box
        assert min(a) >= 0
        assert max(a) <= 100
        for other in found[i + 1 :]:
            b = other.box
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    assert place([(5.0, 5.0)], [(20.0, 8.0)], (0, 0, 10, 10), [], 3) is None


def test_numbers_at_logarithmic_axes_are_round_and_few() -> None:
    for low, high in ((0.9, 1.2), (3, 40), (17, 18_000), (0.001, 9e7), (5, 5.2)):
        major, minor = log_ticks(low, high)
        assert all(low <= tick <= high for tick in (*major, *minor))
        assert len(major) <= 6
        assert not set(major) & set(minor)
        if high / low > 1.3:
            assert len(major) >= 2


def test_words() -> None:
    assert signed(-1.25) == "−1.2"
    assert signed(0.01) == "0.0"
    assert signed(-0.01) == "0.0"
    assert signed(3) == "+3.0"
    assert shortened("abc", 10, 7) == "abc"
    cut = shortened("a-name-that-is-much-too-long-for-this", 1.0, 7)
    assert cut.startswith("a-name")
    assert cut.endswith("this")
    assert "…" in cut
    with pytest.raises(InputError, match="column, page, or inches from 2 to 40"):
        inches("narrow")
    with pytest.raises(InputError, match="'nan'"):
        inches("nan")
