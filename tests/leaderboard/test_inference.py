"""Intervals and p values over seeds: against scipy, by simulation, and where they are extreme."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

from pflbench.analysis.inference import board_p, holm, plain_p, t_interval

Values = NDArray[np.float64]
FIRST, SECOND = np.triu_indices(6, 1)


def boards(count: int, seeds: int, *, luck: Values, clients: int = 36) -> Values:
    """Accuracies [B, 6, S, N] of equal methods, whose luck of a seed has these deviations."""
    rng = np.random.default_rng(seeds)
    hard = rng.normal(0, 0.02, (count, 1, seeds, clients)) + rng.normal(
        0, 0.02, (count, 1, seeds, 1)
    )
    own = rng.normal(0, 1, (count, 6, seeds, 1)) * luck[:, None, None]
    return 0.75 + hard + own + rng.normal(0, 0.02, (count, 6, seeds, clients))


def differences(accuracies: Values) -> Values:
    by_seed = accuracies.mean(axis=-1)
    found: Values = by_seed[:, FIRST] - by_seed[:, SECOND]
    return found


def test_intervals_and_plain_p_values_are_scipys() -> None:
    values = np.random.default_rng(0).normal(0.01, 0.01, (7, 5))
    low, high = t_interval(values)
    for i, one in enumerate(values):
        found = stats.ttest_1samp(one, 0)
        assert (low[i], high[i]) == pytest.approx(tuple(found.confidence_interval(0.95)))
        assert plain_p(values)[i] == pytest.approx(found.pvalue)


def test_one_seed_has_no_interval() -> None:
    low, high = t_interval([[0.5]])
    assert np.isnan(low).all()
    assert np.isnan(high).all()


@pytest.mark.slow
def test_holms_correction_is_statsmodels() -> None:
    p = np.random.default_rng(1).random((20, 15)) ** 4
    for one, corrected in zip(p, holm(p), strict=True):
        assert corrected == pytest.approx(multipletests(one, method="holm")[1])


def test_two_rows_are_compared_by_the_plain_test() -> None:
    """There is no other pair whose variance could say anything of theirs."""
    values = np.random.default_rng(2).normal(0.01, 0.01, (30, 1, 5))
    assert board_p(values, 2) == pytest.approx(plain_p(values))


def test_boards_do_not_meet_each_other() -> None:
    values = differences(boards(4, 5, luck=np.full(6, 0.01)))
    together = board_p(values, 6)
    for one, alone in zip(together, (board_p(part, 6) for part in values), strict=True):
        assert one == pytest.approx(alone, rel=1e-12)


@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize(
    "luck",
    [[0] * 6, [0.007] * 6, [0.021, *[0.007] * 5], [0.021] * 3 + [0.007] * 3],
    ids=["no luck", "equal luck", "one of three times the luck", "three of three times the luck"],
)
def test_equal_methods_are_seldom_told_apart(luck: list[float], seeds: int) -> None:
    """Some row of six twins is called different on at most 6 % of boards; intervals cover 93 %."""
    count = 600
    found = differences(boards(count, seeds, luck=np.array(luck)))
    told = float((board_p(found, 6) < 0.05).any(axis=1).mean())
    low, high = t_interval(found)
    covered = ((low <= 0) & (high >= 0)).mean(axis=0)  # of each pair: none is worse than others
    noise = np.sqrt(0.06 * 0.94 / count)
    assert told <= 0.06 + 2 * noise
    assert covered.mean() >= 0.93
    assert covered.min() >= 0.93 - 3 * noise


def test_luck_that_clients_share_counts_once() -> None:
    """A thousand clients are no more evidence of a seed's luck than ten are."""
    luck = np.full(6, 0.007)
    few, many = (
        (board_p(differences(boards(300, 5, luck=luck, clients=n)), 6) < 0.05).any(axis=1).mean()
        for n in (10, 300)
    )
    assert max(few, many) <= 0.06


def test_a_difference_of_three_times_the_luck_is_seen_with_five_seeds() -> None:
    made = boards(200, 5, luck=np.full(6, 0.007))
    made[:, 0] += 0.03
    p = board_p(differences(made), 6)
    assert (p[:, FIRST == 0] < 0.05).mean() > 0.75
    plain = holm(plain_p(differences(made)))
    assert (p[:, FIRST == 0] < 0.05).mean() > (plain[:, FIRST == 0] < 0.05).mean() + 0.1


def test_however_unequal_the_luck_one_board_in_ten_is_the_limit() -> None:
    """Three equal rows of fifty times the luck, among others that are far from them."""
    made = boards(400, 5, luck=np.array([0.05] * 3 + [0.001] * 3))
    made += np.array([0, 0, 0, 1, 2, 3.0])[:, None, None]
    p = board_p(differences(made), 6)
    assert (p[:, SECOND < 3] < 0.05).any(axis=1).mean() <= 0.10


def test_no_verdict_contradicts_its_own_interval() -> None:
    made = boards(300, 5, luck=np.array([0.03, *[0.004] * 5]))
    made[:, 0] += 0.03
    found = differences(made)
    low, high = t_interval(found)
    assert not ((board_p(found, 6) < 0.05) & (low <= 0) & (high >= 0)).any()


@pytest.mark.parametrize("rows", [2, 3, 6])
def test_rows_that_never_differ_have_p_1(rows: int) -> None:
    pairs = rows * (rows - 1) // 2
    assert board_p(np.zeros((pairs, 5)), rows).tolist() == [1.0] * pairs


def test_differences_without_any_variance_are_certain() -> None:
    constant = np.repeat([[0.01], [0.03], [0.02]], 5, axis=1)
    assert board_p(constant, 3).tolist() == [0, 0, 0]
    twins = np.random.default_rng(3).normal(0.02, 0.01, (3, 5))
    twins[0] = 0  # a and b are one method under two names
    twins[2] = twins[1]
    p = board_p(twins, 3)
    assert p[0] == 1
    assert np.isfinite(p).all()


def test_a_constant_difference_is_held_against_the_luck_of_the_others() -> None:
    """Five equal differences may be chance where a seed moves other pairs by as much."""
    rng = np.random.default_rng(4)
    by_seed = rng.normal(0, 0.01, (6, 5))
    by_seed[1] = by_seed[0] - 0.001
    found = np.array([by_seed[i] - by_seed[j] for i, j in itertools.combinations(range(6), 2)])
    assert board_p(found, 6)[0] > 0.05
