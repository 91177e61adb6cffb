"""How many seeds show an effect: against the power of a t test, and where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from made_boards import board, row
from scipy.stats import nct
from scipy.stats import t as student

from pflbench.analysis import Board, paired_tests
from pflbench.analysis.power import MOST_SEEDS, plan_seeds
from pflbench.analysis.protocol import FEWEST_SEEDS
from pflbench.errors import InputError


def seeds_of(std: float, effect: float, power: float = 0.8) -> int:
    """The fewest seeds by the noncentral t distribution: two rows, 5 % on both sides."""
    for n in range(FEWEST_SEEDS, 10_000):
        edge = student.ppf(0.975, n - 1)
        if nct.sf(edge, n - 1, effect / std * np.sqrt(n)) >= power:
            return n
    raise AssertionError


def made(by_seed: dict[str, list[float]], clients: int = 4) -> Board:
    """A board on which every client of a seed has the same accuracy."""
    return board(
        [row(name, np.array(means)[:, None].repeat(clients, 1)) for name, means in by_seed.items()]
    )


def spread(std: float, seeds: int) -> list[float]:
    """Numbers of mean 0.5 whose standard deviation is exactly this."""
    values = np.linspace(-1, 1, seeds)
    return list(0.5 + std * values / values.std(ddof=1))


@pytest.mark.parametrize(
    ("std", "effect"), [(0.01, 0.01), (0.01, 0.005), (0.02, 0.02), (0.001, 0.01)]
)
def test_two_rows_need_what_the_t_test_needs(std: float, effect: float) -> None:
    stored = 6
    plan = plan_seeds(made({"local": [0.5] * stored, "a": spread(std, stored)}), effect, 0.8)
    (needed,) = plan.rows
    assert needed.std == pytest.approx(std)
    assert needed.seeds == pytest.approx(seeds_of(std, effect), rel=0.08, abs=1)
    assert plan.whole.seeds == needed.seeds


@pytest.mark.slow
def test_more_rows_need_more_seeds_and_a_larger_effect_fewer() -> None:
    rng = np.random.default_rng(0)
    few = {name: list(0.5 + 0.01 * rng.normal(size=6)) for name in ("local", "a")}
    many = few | {name: list(0.5 + 0.01 * rng.normal(size=6)) for name in "bcdefg"}
    one, other, larger = (
        plan_seeds(made(rows), effect, 0.8).rows[0].seeds
        for rows, effect in ((few, 0.01), (many, 0.01), (many, 0.03))
    )
    assert other is not None
    assert (larger or MOST_SEEDS) < other
    assert (one or MOST_SEEDS) < other


@pytest.mark.slow
def test_the_interval_of_three_seeds_is_wide_and_holds_the_truth() -> None:
    rng = np.random.default_rng(1)
    truth = seeds_of(0.01 * np.sqrt(2), 0.02)
    inside, widths = 0, []
    for _ in range(60):
        rows = {name: list(0.5 + 0.01 * rng.normal(size=3)) for name in ("local", "a")}
        (needed,) = plan_seeds(made(rows), 0.02, 0.8).rows
        low, high = needed.low or MOST_SEEDS, needed.high or MOST_SEEDS + 1
        inside += low <= truth <= high
        widths.append(high / low)
        assert needed.power is None  # of three seeds there is no verdict
    assert inside >= 0.9 * 60
    assert np.median(widths) > 5


@pytest.mark.slow
def test_a_board_of_the_planned_size_shows_the_effect_as_often_as_asked_for() -> None:
    """What the plan promises is what the verdict of boards then does."""
    rng = np.random.default_rng(2)
    names = ("local", "a", "b", "c")
    stored = {name: list(0.5 + 0.01 * rng.normal(size=40)) for name in names}
    (needed, *_) = plan_seeds(made(stored), 0.01, 0.8).rows
    assert needed.seeds is not None
    shown, boards = 0, 150
    for _ in range(boards):
        drawn = {name: list(0.5 + 0.01 * rng.normal(size=needed.seeds)) for name in names}
        drawn["a"] = [value + 0.01 for value in drawn["a"]]
        (test,) = (t for t in paired_tests(made(drawn)) if {t.first, t.second} == {"local", "a"})
        told = test if test.first == "a" else test.turned()
        shown += told.verdict == "better"
    assert shown / boards == pytest.approx(0.8, abs=0.13)


def test_twins_need_the_fewest_seeds_that_have_a_verdict() -> None:
    (needed,) = plan_seeds(made({"local": [0.5, 0.6, 0.7], "a": [0.5, 0.6, 0.7]}), 0.01, 0.8).rows
    assert (needed.std, needed.seeds, needed.high) == (0, FEWEST_SEEDS, FEWEST_SEEDS)


def test_an_effect_that_luck_drowns_needs_more_than_any_plan_goes_to() -> None:
    plan = plan_seeds(made({"local": [0.5] * 6, "a": spread(0.2, 6)}), 0.001, 0.8)
    assert (plan.rows[0].seeds, plan.whole.seeds) == (None, None)
    assert plan.rows[0].power is not None
    assert plan.rows[0].power < 0.1


def test_the_whole_board_needs_what_its_row_of_most_luck_needs() -> None:
    rows = {"local": [0.5] * 6, "quiet": spread(0.002, 6), "loud": spread(0.02, 6)}
    plan = plan_seeds(made(rows), 0.02, 0.8)
    by_name = {needed.method: needed for needed in plan.rows}
    assert plan.whole.method == "loud"
    assert plan.whole.seeds == by_name["loud"].seeds
    assert plan.whole.low == max(needed.low or 0 for needed in plan.rows)


def test_a_plan_is_the_same_every_time() -> None:
    rng = np.random.default_rng(3)
    rows = {name: list(0.5 + 0.01 * rng.normal(size=4)) for name in ("local", "a", "b")}
    assert plan_seeds(made(rows), 0.01, 0.8).record() == plan_seeds(made(rows), 0.01, 0.8).record()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"a": [0.1, 0.2], "b": [0.1, 0.2]}, "expected complete runs of local"),
        ({"local": [0.1, 0.2]}, "of another method"),
        ({"local": [0.1], "a": [0.2]}, "expected at least two"),
    ],
)
def test_what_says_nothing_of_luck_is_refused(rows: dict[str, list[float]], said: str) -> None:
    with pytest.raises(InputError, match=said):
        plan_seeds(made(rows), 0.01, 0.8)
