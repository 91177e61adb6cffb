"""The bootstrap against theory and against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pflbench.leaderboard import bootstrap
from pflbench.leaderboard.bootstrap import interval, ranks, resampled_means


def test_it_agrees_with_a_plain_loop() -> None:
    rng = np.random.default_rng(1)
    values = rng.beta(5, 2, size=(1, 3, 20)) + np.array([0.0, 0.05, 0.1])[None, :, None]
    plain = []
    for _ in range(10_000):
        seeds = rng.integers(3, size=3)
        clients = rng.integers(20, size=(3, 20))
        plain.append(values[0][seeds[:, None], clients].mean())
    fast = resampled_means(values, 20_000)[:, 0]
    assert fast.mean() == pytest.approx(values.mean(), abs=0.003)
    assert fast.std() == pytest.approx(np.std(plain), rel=0.05)
    ends = np.array(interval(fast[:, None])).ravel()
    assert ends == pytest.approx(np.quantile(plain, [0.025, 0.975]), abs=0.005)


def test_its_variance_is_the_textbook_one() -> None:
    values = np.random.default_rng(2).normal(size=(1, 1, 50))
    resampled = resampled_means(values, 20_000)
    assert resampled.std() == pytest.approx(values.std() / np.sqrt(50), rel=0.03)


def test_what_never_varies_has_no_interval() -> None:
    low, high = interval(resampled_means(np.full((2, 3, 7), 0.25)))
    assert low == pytest.approx(0.25, abs=1e-12)
    assert high == pytest.approx(0.25, abs=1e-12)


def test_chunks_and_other_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).random((4, 3, 11))
    whole = resampled_means(values, 500)
    monkeypatch.setattr(bootstrap, "_CELLS", 37)
    assert resampled_means(values, 500) == pytest.approx(whole, abs=1e-12)
    assert resampled_means(values[2:3], 500)[:, 0] == pytest.approx(whole[:, 2], abs=1e-12)


def test_seeds_are_drawn_not_only_clients() -> None:
    values = np.repeat(np.array([[[0.2], [0.8]]]), 10, axis=2)  # clients alike, seeds apart
    resampled = np.round(resampled_means(values, 4000)[:, 0], 9)
    found, counts = np.unique(resampled, return_counts=True)
    assert found.tolist() == [0.2, 0.5, 0.8]
    assert counts / 4000 == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


@settings(max_examples=25, deadline=None)
@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 9)),
        elements=st.floats(0, 1),
    )
)
def test_resamples_stay_within_the_values(values: np.ndarray) -> None:
    resampled = resampled_means(values, 50)
    assert resampled.shape == (50, len(values))
    assert (resampled >= values.min(axis=(1, 2)) - 1e-12).all()
    assert (resampled <= values.max(axis=(1, 2)) + 1e-12).all()


def test_ranks_count_the_rows_wholly_above() -> None:
    low = np.array([0.8, 0.7, 0.5, 0.1])
    high = np.array([0.9, 0.85, 0.75, 0.2])
    assert ranks(low, high) == [1, 1, 2, 4]
    assert ranks(np.array([0.5, 0.4]), np.array([0.6, 0.5])) == [1, 1]  # touching is overlapping
