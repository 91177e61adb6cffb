"""Which rows of a board are told apart, against scipy and where the answer is known."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_boards import Values, board, row
from rich.console import Console
from scipy.stats import wilcoxon

from pflbench.leaderboard import (
    Board,
    PairedTest,
    paired_tests,
    render,
    renderable,
    renderable_together,
)

SHAPE = (3, 40)
FORMATS = ("text", "markdown", "latex")


def accuracies(seed: int, shape: tuple[int, int] = SHAPE, samples: int = 50) -> Values:
    """Accuracies on so many test samples."""
    counts: Values = np.random.default_rng(seed).binomial(samples, 0.7, size=shape) / samples
    return counts


def only(first: Values, second: Values) -> PairedTest:
    (test,) = paired_tests(board([row("a", first), row("b", second)]))
    return test


def test_p_values_are_scipys_and_corrected_by_holm() -> None:
    values = [accuracies(i) + shift for i, shift in enumerate((0, 0.01, 0.03, 0.03))]
    tests = paired_tests(board([row(name, v) for name, v in zip("abcd", values, strict=True)]))
    assert [(t.first, t.second) for t in tests] == [
        ("a", "b"), ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("c", "d"),
    ]  # fmt: skip
    by_hand = {}
    for test in tests:
        difference = np.round(
            values["abcd".index(test.first)] - values["abcd".index(test.second)], 9
        )
        by_hand[test.first, test.second] = wilcoxon(difference.ravel(), zero_method="zsplit").pvalue
        assert test.mean_difference == pytest.approx(difference.mean())
        assert test.pairs == 120
    holm, worst = {}, 0.0
    for i, pair in enumerate(sorted(by_hand, key=by_hand.__getitem__)):
        worst = max(worst, min(1.0, by_hand[pair] * (6 - i)))
        holm[pair] = worst
    for test in tests:
        assert test.p == pytest.approx(by_hand[test.first, test.second], rel=1e-9)
        assert test.p_holm == pytest.approx(holm[test.first, test.second], rel=1e-9)
    assert len({round(p, 6) for p in by_hand.values()}) == 6


@pytest.mark.parametrize("clients", [7, 20, 60])  # permutations; the normal distribution, twice
def test_few_pairs_and_many_meet_the_same_test(clients: int) -> None:
    first, second = (accuracies(i, (1, clients), 20) for i in (1, 2))
    expected = wilcoxon(np.round(first - second, 9).ravel(), zero_method="zsplit").pvalue
    assert only(first, second).p == pytest.approx(expected, rel=1e-9)


def test_zeros_are_no_evidence_of_a_difference() -> None:
    """Six of 120 clients better, the others alike: thrown away, the zeros would leave p = 0.03."""
    first = accuracies(0)
    second = first.copy()
    second.ravel()[:6] -= np.arange(1, 7) / 50
    test = only(first, second)
    assert wilcoxon((first - second).ravel()[:6]).pvalue < 0.05
    assert test.p is not None
    assert test.p > 0.2
    assert test.verdict == "not told apart"


def test_rows_that_agree_everywhere_are_not_told_apart() -> None:
    test = only(accuracies(0), accuracies(0))
    assert (test.p, test.p_holm, test.mean_difference, test.low, test.high) == (1, 1, 0, 0, 0)
    assert test.verdict == test.turned().verdict == "not told apart"


def test_a_shift_of_every_client_is_better() -> None:
    test = only(accuracies(0) + 0.02, accuracies(0))
    assert test.verdict == "better"
    assert test.turned().verdict == "worse"
    assert (test.low, test.high) == pytest.approx((0.02, 0.02))
    assert test.rank_biserial == 1
    assert test.p is not None
    assert test.p < 1e-15


def test_one_seed_of_three_tells_nobody_apart() -> None:
    """All clients of a federation share its luck: to the signed ranks that is much evidence."""
    base = accuracies(0)
    lucky = base + np.array([0.1, 0.001, -0.001])[:, None]
    test = only(lucky, base)
    assert test.p_holm is not None
    assert test.p_holm < 1e-5
    assert test.low < 0 < test.high
    assert test.verdict == "not told apart"


def test_a_few_large_losses_are_not_outweighed_by_many_small_gains() -> None:
    gains = np.full(SHAPE, 0.01)
    gains[:, :4] = -0.6
    test = only(np.full(SHAPE, 0.7) + gains, np.full(SHAPE, 0.7))
    assert test.p_holm is not None
    assert test.p_holm < 0.05
    assert test.rank_biserial > 0
    assert test.mean_difference < 0
    assert test.verdict == "not told apart"


def test_too_few_pairs_have_no_p_value() -> None:
    few = board([row("local", accuracies(0, (1, 5)) + 0.2), row("b", accuracies(0, (1, 5)))])
    (test,) = paired_tests(few)
    assert (test.p, test.p_holm, test.verdict) == (None, None, "too few pairs")
    assert test.reason == "5 pairs, and with fewer than 6 no result can be significant"
    assert "too few pairs" in render(few, columns="tests")
    # With six the test can find something: 2 / 2^6.
    assert only(accuracies(0, (1, 6)) + 0.2, accuracies(0, (1, 6))).p == pytest.approx(1 / 32)


def test_boards_of_one_row_or_none_have_nothing_to_compare() -> None:
    assert paired_tests(board([row("a", accuracies(0)), row("b", accuracies(1), rank=None)])) == ()
    assert paired_tests(board([])) == ()
    assert "the best" in render(board([row("a", accuracies(0))]), columns="tests")


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.int64, st.tuples(st.integers(2, 4), st.integers(1, 3), st.integers(1, 8)),
           elements=st.integers(0, 20)),
    st.randoms(),
)  # fmt: skip
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
        assert same.pairs == test.pairs
        for name in ("mean_difference", "low", "high", "rank_biserial"):
            assert getattr(same, name) == pytest.approx(getattr(test, name), abs=1e-12)
        assert (same.p is None) == (test.p is None)
        if test.p is not None:
            assert same.p == pytest.approx(test.p, rel=1e-9)
            assert same.p_holm == pytest.approx(test.p_holm, rel=1e-9)
        assert same.reason == test.reason


@pytest.fixture
def three() -> Board:
    base = accuracies(0)
    return board([
        row("fedora", base + 0.03), row("local", base), row("fedavg", accuracies(3)),
        row("pfedhn", base, rank=None),
    ])  # fmt: skip


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_says_the_verdicts(three: Board, form: str) -> None:
    text = render(three, form, columns="tests")  # type: ignore[arg-type]
    said = " ".join(text.replace("$-$", "−").replace("\\[", "[").split())
    for part in ("better", "worse", "not told apart", "the best", "+3.00 [", "−3.00 ["):
        assert part in said
    assert "0.001" in said
    assert "Clients of one federation share a server" in said
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
