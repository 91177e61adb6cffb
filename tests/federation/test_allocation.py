"""Whole samples from shares."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pflbench.federation import deal

SHARES = st.one_of(st.just(0.0), st.floats(1e-12, 1.0))


@settings(max_examples=200, deadline=None)
@given(data=st.data(), clients=st.integers(1, 9), classes=st.integers(1, 5))
def test_counts_are_quotas_rounded_down_or_up(data, clients, classes):
    shares = data.draw(arrays(np.float64, (clients, classes), elements=SHARES))
    labels = np.array(data.draw(st.lists(st.integers(0, classes - 1), max_size=80)), dtype=np.int64)
    seed = data.draw(st.integers(0, 999))
    parts = deal(shares, labels, np.random.default_rng(seed))
    again = deal(shares, labels, np.random.default_rng(seed))
    assert all((a == b).all() for a, b in zip(parts, again, strict=True))
    given_out = np.concatenate(parts)
    assert len(np.unique(given_out)) == len(given_out)
    assert all((np.diff(part) > 0).all() for part in parts)
    for c in range(classes):
        total, weight = int((labels == c).sum()), shares[:, c].sum()
        counts = np.array([(labels[part] == c).sum() for part in parts])
        if weight == 0:
            assert counts.sum() == 0
            continue
        assert counts.sum() == total
        assert (np.abs(counts - shares[:, c] / weight * total) < 1 + 1e-6).all()
        assert (counts[shares[:, c] == 0] == 0).all()


def test_quotas_below_one_add_up_over_the_classes():
    """100 clients and 10 of each of 100 classes: a tenth of a sample a class, ten in all."""
    labels = np.repeat(np.arange(100), 10)
    parts = deal(np.ones((100, 100)), labels, np.random.default_rng(0))
    assert [len(part) for part in parts] == [10] * 100


def test_who_gets_which_samples_is_drawn():
    labels = np.zeros(1000, dtype=np.int64)
    first, second = deal(np.ones((2, 1)), labels, np.random.default_rng(0))
    assert 400 < first.mean() < 600
    assert 400 < second.mean() < 600
    assert (
        len(np.intersect1d(first, deal(np.ones((2, 1)), labels, np.random.default_rng(1))[0])) < 300
    )
