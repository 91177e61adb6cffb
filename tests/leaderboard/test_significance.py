"""Which rows of a board are told apart, against scipy and where the answer is known."""

from __future__ import annotations

import csv
import io
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_boards import Values, board, row
from rich.console import Console
from scipy.stats import ttest_rel

from pflbench.analysis import Board, PairedTest, paired_tests
from pflbench.analysis.inference import board_p
from pflbench.analysis.significance import ranks
from pflbench.report.tables.render import render, renderable, renderable_together

SHAPE = (5, 40)
FORMATS = ("text", "markdown", "latex")


def accuracies(seed: int, shape: tuple[int, int] = SHAPE, samples: int = 50) -> Values:
    """Accuracies on so many test samples."""
    counts: Values = np.random.default_rng(seed).binomial(samples, 0.7, size=shape) / samples
    return counts


def only(first: Values, second: Values) -> PairedTest:
    (test,) = paired_tests(board([row("a", first), row("b", second)]))
    return test


def test_a_pair_is_compared_by_its_seeds_means() -> None:
    first, second = accuracies(1), accuracies(2)
    test = only(first, second)
    by_seed = (first - second).mean(axis=1)
    expected = ttest_rel(first.mean(axis=1), second.mean(axis=1))
    assert test.seeds == 5
    assert test.mean_difference == pytest.approx(by_seed.mean())
    assert test.std == pytest.approx(by_seed.std(ddof=1))
    assert test.p == test.p_holm == pytest.approx(expected.pvalue)
    assert (test.low, test.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_p_values_are_corrected_for_all_pairs_of_a_board() -> None:
    values = [accuracies(i) + shift for i, shift in enumerate((0, 0.01, 0.03, 0.03))]
    tests = paired_tests(board([row(name, v) for name, v in zip("abcd", values, strict=True)]))
    assert [(t.first, t.second) for t in tests] == [
        ("a", "b"),
        ("a", "c"),
        ("a", "d"),
        ("b", "c"),
        ("b", "d"),
        ("c", "d"),
    ]
    means = np.array([v.mean(axis=1) for v in values])
    first, second = np.triu_indices(4, 1)
    expected = board_p(means[first] - means[second], 4)
    assert [t.p_holm for t in tests] == pytest.approx(expected.tolist())
    assert all(t.p <= t.p_holm for t in tests)


def test_identical_clients_are_no_further_evidence() -> None:
    """A seed's luck that all clients share is one piece of evidence, not one for each client."""
    base = accuracies(0)
    lucky = base + np.array([0.02, -0.01, 0.03, 0.01, -0.005])[:, None]
    test, of_few = only(lucky, base), only(lucky[:, :4], base[:, :4])
    assert test.p_holm == pytest.approx(of_few.p_holm)
    assert test.verdict == "not told apart"


def test_rows_that_agree_everywhere_are_not_told_apart() -> None:
    test = only(accuracies(0), accuracies(0))
    assert (test.p, test.p_holm, test.mean_difference, test.low, test.high) == (1, 1, 0, 0, 0)
    assert test.verdict == test.turned().verdict == "not told apart"


def test_a_shift_of_every_client_is_better() -> None:
    test = only(accuracies(0) + 0.02, accuracies(0))
    assert (test.verdict, test.turned().verdict) == ("better", "worse")
    assert (test.low, test.high) == pytest.approx((0.02, 0.02))
    assert test.p_holm == 0


def test_a_few_large_losses_are_not_outweighed_by_many_small_gains() -> None:
    gains = np.full(SHAPE, 0.01)
    gains[:, :4] = -0.6
    test = only(np.full(SHAPE, 0.7) + gains, np.full(SHAPE, 0.7))
    assert test.mean_difference < 0
    assert test.verdict == "worse"


@pytest.mark.parametrize("seeds", [1, 2, 3, 4])
def test_few_seeds_have_no_verdict_however_large_the_difference(seeds: int) -> None:
    shape = (seeds, 40)
    few = board([row("local", accuracies(0, shape) + 0.2), row("b", accuracies(1, shape))])
    (test,) = paired_tests(few)
    assert test.verdict == test.turned().verdict == "no verdict"
    assert not test.p_holm < 0.05  # it is a number that can be compared, and below nothing
    assert math.isnan(test.p)
    assert math.isnan(test.low) == (seeds == 1)
    for form in FORMATS:
        text = render(few, form, columns="tests")  # type: ignore[arg-type]
        assert "no verdict" in text
        assert not re.search("better|worse|not told apart", text.split("verdict")[0])
    record = next(iter(few.records()))
    assert (record["to_best_p"], record["gain_p_holm"]) == (None, None)


def test_rows_need_only_a_label_and_accuracies() -> None:
    rows = [SimpleNamespace(label=name, accuracies=accuracies(i)) for i, name in enumerate("ab")]
    (test,) = paired_tests(SimpleNamespace(rows=rows))
    assert test.verdict == "not told apart"


def test_boards_of_one_row_or_none_have_nothing_to_compare() -> None:
    assert paired_tests(board([row("a", accuracies(0)), row("b", accuracies(1), rank=None)])) == ()
    assert paired_tests(board([])) == ()
    assert "the first" in render(board([row("a", accuracies(0))]), columns="tests")


def test_ranks_count_what_the_verdicts_say() -> None:
    def test(first: str, second: str, p: float) -> PairedTest:
        return PairedTest(first, second, 5, 0.1, 0.1, 0.0, 0.2, p, p)

    told = [test("a", "b", 0.5), test("a", "c", 0.01), test("b", "c", 0.5)]
    assert ranks(told) == {"a": (1, 2), "b": (1, 3), "c": (2, 3)}
    assert ranks([*told[:2], test("b", "c", math.nan)]) == {}
    assert ranks([]) == {}


@settings(max_examples=30, deadline=None)
@given(
    arrays(
        np.int64,
        st.tuples(st.integers(2, 4), st.integers(1, 7), st.integers(1, 8)),
        elements=st.integers(0, 20),
    ),
    st.randoms(),
)
def test_names_and_order_of_rows_change_nothing(correct: Values, random: st.DataObject) -> None:
    values = correct / 20
    names = [f"method {i}" for i in range(len(values))]
    shuffled = names.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    order = list(range(len(values)))
    random.shuffle(order)  # type: ignore[attr-defined]
    plain = paired_tests(board([row(n, v) for n, v in zip(names, values, strict=True)]))
    mixed = paired_tests(board([row(shuffled[i], values[i]) for i in order]))
    found = {(t.first, t.second): t for t in (*mixed, *(t.turned() for t in mixed))}
    for test in plain:
        same = found[shuffled[names.index(test.first)], shuffled[names.index(test.second)]]
        for name in ("mean_difference", "std", "low", "high", "p", "p_holm"):
            expected = pytest.approx(getattr(test, name), rel=1e-9, abs=1e-12, nan_ok=True)
            assert getattr(same, name) == expected
        assert same.verdict == test.verdict


@pytest.fixture
def three() -> Board:
    base = accuracies(0)
    return board(
        [
            row("fedora", base + 0.03),
            row("local", base),
            row("fedavg", accuracies(3)),
            row("pfedhn", base, rank=None),
        ]
    )


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_says_the_verdicts(three: Board, form: str) -> None:
    text = render(three, form, columns="tests")  # type: ignore[arg-type]
    said = " ".join(text.replace("$-$", "−").replace("\\[", "[").split())
    for part in ("better", "worse", "not told apart", "the first", "+3.00 [", "−3.00 ["):
        assert part in said
    assert "0.001" in said
    assert "the pair's own interval to leave 0 out" in said
    assert "{0.05}" not in said


@pytest.mark.parametrize("width", [60, 80, 120])
def test_tests_fit_every_width(three: Board, width: int) -> None:
    for columns in ("tests", "calibration"):
        text = render(three, columns=columns, width=width)  # type: ignore[arg-type]
        assert max(map(len, text.splitlines())) <= width
    assert "than the" in " ".join(render(three, columns="tests", width=width).split())


def test_csv_has_the_tests_of_each_row(three: Board) -> None:
    rows = {r["method"]: r for r in csv.DictReader(io.StringIO(render(three, "csv")))}
    tests = {(t.first, t.second): t for t in paired_tests(three)}
    fedavg, best = rows["fedavg"], tests["fedora", "fedavg"]
    assert float(fedavg["to_best"]) == pytest.approx(-best.mean_difference)
    assert float(fedavg["to_best_low"]) == pytest.approx(-best.high)
    assert float(fedavg["to_best_high"]) == pytest.approx(-best.low)
    assert float(fedavg["to_best_p_holm"]) == pytest.approx(best.p_holm)
    assert float(fedavg["gain_p"]) == pytest.approx(tests["local", "fedavg"].p)
    assert rows["fedora"]["to_best"] == rows["local"]["gain_p"] == rows["pfedhn"]["to_best"] == ""


def test_a_console_says_what_the_boards_are_together(three: Board) -> None:
    console = Console(file=io.StringIO(), width=100)
    console.print(renderable(three, columns="tests"), *renderable_together([three, three], "tests"))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "not told apart" in shown
    assert "All boards together" in shown
    assert renderable_together([three], "tests") == []
    assert renderable_together([three, three], "standard") == []
