"""Scores of a learnt relatedness, by hand; and the tables that keep it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pflbench.analysis.client_order import order_of, places
from pflbench.analysis.relatedness_score import chance, scores, truth_of
from pflbench.analysis.relatedness_tables import (
    Matrices,
    coordinates_of,
    coordinates_table,
    matrices_of,
    relatedness_table,
)
from pflbench.errors import InputError

LINE = np.array([[0.0], [1.0], [3.0], [7.0]])
GROUPS = np.array([0, 0, 1, 1, 2])


def learnt(similarity: list[list[float]], top_k: int = 1) -> Matrices:
    s = np.array(similarity)
    weight = np.zeros_like(s)
    for i in range(len(s)):
        others = np.where(np.arange(len(s)) == i, -np.inf, s[i])
        weight[i, np.argsort(-others)[:top_k]] = 1 / top_k
    return Matrices(s, weight, weight, np.arange(len(s)))


def test_a_measure_that_orders_as_the_truth_does_is_all_right() -> None:
    truth = truth_of(LINE, None)
    distance = np.abs(LINE - LINE.T)
    found = learnt((1 / (1 + distance)).tolist())  # another scale, the same order
    assert scores(found, truth) == {
        "relatedness_rank_correlation": pytest.approx(1.0),
        "relatedness_precision": 1.0,
    }
    assert scores(learnt(distance.tolist()), truth)["relatedness_rank_correlation"] == (
        pytest.approx(-1.0)
    )


def test_scores_by_hand() -> None:
    # Client 0 ranks 1, 2, 3 as it should; 1 has 0 and 2 in the wrong order of 0, 2, 3; and so on.
    similarity = [[0, 3, 2, 1], [2, 0, 3, 1], [1, 2, 0, 3], [1, 2, 3, 0]]
    found = scores(learnt(similarity), truth_of(LINE, None))
    # Ranks of three: ρ = 1 - 6 Σd² / 24. Client 2: truly 1, 0, 3, learnt 3, 1, 0.
    assert found["relatedness_rank_correlation"] == pytest.approx((1 + 0.5 - 0.5 + 1) / 4)
    assert found["relatedness_precision"] == pytest.approx((1 + 0 + 0 + 1) / 4)


def test_who_is_as_near_is_as_right() -> None:
    """Around a circle both neighbours are as near, rounding or not."""
    angles = 2 * np.pi * np.arange(7) / 7
    truth = truth_of(np.stack([np.cos(angles), np.sin(angles)], axis=1), None)
    similarity = np.cos(angles[:, None] - angles)
    rounded = similarity + 1e-9 * np.random.default_rng(0).normal(size=(7, 7))
    for matrix in (similarity, rounded):
        found = scores(learnt(matrix.tolist()), truth)
        assert found["relatedness_rank_correlation"] == pytest.approx(1.0, abs=1e-12)
        assert found["relatedness_precision"] == 1.0
    assert truth is not None
    assert chance(truth, 1)["relatedness_precision"] == pytest.approx(2 / 6)
    assert chance(truth, 3)["relatedness_precision"] == pytest.approx(4 / 6)


def test_groups_alone_have_no_nearest_and_lonely_clients_do_not_count() -> None:
    truth = truth_of(None, GROUPS)
    similarity = np.ones((5, 5)) + (GROUPS[:, None] == GROUPS)
    similarity[3] = [5, 0, 1, 0, 0]  # it prefers a stranger
    found = scores(learnt(similarity.tolist()), truth)
    assert "relatedness_precision" not in found
    assert found["relatedness_same_group"] == pytest.approx(3 / 4)
    assert truth is not None
    assert chance(truth, 1)["relatedness_same_group"] == pytest.approx(1 / 4)
    # Client 4 is as far from all: it has no correlation. Client 3: ranks 4, 1.5, 3, 1.5 of others.
    own = np.corrcoef([4, 1.5, 3, 1.5], [2, 2, 4, 2])[0, 1]
    assert found["relatedness_rank_correlation"] == pytest.approx((1 + 1 + 1 + own) / 4)


def test_nothing_is_scored_where_nothing_is_known_or_can_differ() -> None:
    found = learnt(np.eye(3).tolist())
    assert scores(found, None) == {}
    assert truth_of(None, None) is None
    same = scores(found, truth_of(np.zeros((3, 1)), None))
    assert same == {"relatedness_precision": 1.0}  # all are as near; no order to agree with
    assert scores(learnt([[1.0]]), truth_of(np.zeros((1, 1)), None)) == {}


def test_tables_keep_the_matrices_and_the_clients_numbers() -> None:
    rng = np.random.default_rng(0)
    matrices = (rng.random((4, 4)).astype(np.float32).astype(float) for _ in range(3))
    found = Matrices(*matrices, np.array([1, 4, 5, 9]))
    table = relatedness_table(found)
    assert list(table.columns) == ["client", "other", "similarity", "weight", "propagation"]
    back = matrices_of(table.sample(frac=1, random_state=0))  # in whatever order
    for name in ("similarity", "weight", "propagation", "numbers"):
        np.testing.assert_array_equal(getattr(back, name), getattr(found, name))
    points = rng.random((4, 3))
    kept = coordinates_table(points, found.numbers)
    np.testing.assert_array_equal(coordinates_of(kept.sample(frac=1, random_state=1)), points)
    for damaged in (table[1:], table[:0], pd.concat([table, table]), table.assign(other=1)):
        with pytest.raises(InputError, match="damaged"):
            matrices_of(damaged)
    with pytest.raises(InputError, match="damaged"):
        coordinates_of(kept[1:])


# Where clients stand


def test_clients_stand_in_the_order_of_their_angles_and_groups() -> None:
    angles = np.deg2rad([200, 10, 350, 90, 0])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points -= points.mean(axis=0)
    found = learnt(np.eye(5).tolist())
    order, words = order_of(found, truth_of(points, GROUPS))
    assert GROUPS[order].tolist() == [0, 0, 1, 1, 2]
    assert words == "by group, then true coordinates"
    on_a_line = learnt(np.eye(4).tolist())
    order, words = order_of(on_a_line, truth_of(LINE[[2, 0, 3, 1]], None))
    assert order.tolist() in ([1, 3, 0, 2], [2, 0, 3, 1])
    assert words == "by true coordinates"


def test_without_truth_those_that_are_taken_to_be_alike_stand_together() -> None:
    kind = np.array([0, 1, 0, 1, 0, 1])
    found = learnt((kind[:, None] == kind).astype(float).tolist(), top_k=2)
    order, words = order_of(found, None)
    assert (np.diff(kind[order]) != 0).sum() == 1
    assert words == "by learnt similarity"


@pytest.mark.parametrize("n", [1, 2, 3, 40])
@pytest.mark.parametrize("known", ["nothing", "groups", "line", "circle", "one place", "many axes"])
def test_everybody_has_a_place_of_its_own(n: int, known: str) -> None:
    found = Matrices(*(np.eye(n) for _ in range(3)), np.arange(n))
    angles = 2 * np.pi * np.arange(n) / n
    coordinates = {
        "line": np.arange(n)[:, None] * 1.0,
        "circle": np.stack([np.cos(angles), np.sin(angles)], axis=1),
        "one place": np.zeros((n, 2)),
        "many axes": np.random.default_rng(0).normal(size=(n, 5)),
    }.get(known)
    groups = np.arange(n) % 3 if known == "groups" else None
    points = places(found, truth_of(coordinates, groups))
    assert points.shape == (n, 2)
    assert np.abs(points).max(initial=0) <= 1 + 1e-9
    apart = np.linalg.norm(points[:, None] - points, axis=2) + np.eye(n)
    assert apart.min() > 1e-3
