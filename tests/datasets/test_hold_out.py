"""The test split of data that comes without one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pflbench.federation.holdout import for_test

pairs = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), min_size=1, max_size=200)


@given(pairs)
def test_a_fifth_of_each_owner_in_the_proportions_of_its_classes(
    samples: list[tuple[int, int]],
) -> None:
    owners, labels = np.array(samples).T
    test = for_test(labels, owners)
    for owner in np.unique(owners):
        own = owners == owner
        size = int(own.sum())
        assert test[own].sum() == (size + 2) // 5
        if size >= 3:
            assert 1 <= test[own].sum() < size
        for label in np.unique(labels[own]):
            group = own & (labels == label)
            assert abs(test[group].sum() - group.sum() / 5) < 1


@given(pairs)
def test_the_same_choice_each_time_and_owners_apart(samples: list[tuple[int, int]]) -> None:
    owners, labels = np.array(samples).T
    np.testing.assert_array_equal(for_test(labels, owners), for_test(labels, owners))
    np.testing.assert_array_equal(for_test(labels), for_test(labels, np.zeros_like(labels)))


def test_the_choice_is_spread_over_the_data() -> None:
    test = for_test(np.zeros(10_000, np.int64))
    counts = test.reshape(10, 1_000).sum(1)
    assert test.sum() == 2_000
    assert counts.min() > 120
    assert counts.max() < 280


def test_many_owners_take_no_time() -> None:
    rng = np.random.default_rng(0)
    test = for_test(rng.integers(0, 62, 200_000), rng.integers(0, 3_000, 200_000))
    assert abs(test.mean() - 0.2) < 0.01


def test_nothing_of_nothing() -> None:
    assert for_test(np.zeros(0, np.int64)).shape == (0,)
