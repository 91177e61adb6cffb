"""The plan of local steps: which samples, in which batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pflbench.engine.batches import chunk_plan, draw_batches, in_multiples, seeded_batches
from pflbench.method import LocalBudget

sizes = st.integers(1, 70)
batch_sizes = st.integers(1, 40)


@given(n=sizes, batch=batch_sizes, epochs=st.integers(1, 4), seed=st.integers(0, 99))
def test_every_sample_is_seen_once_an_epoch(n: int, batch: int, epochs: int, seed: int) -> None:
    plan = draw_batches(np.random.default_rng(seed), n, LocalBudget(batch, epochs=epochs))
    per_epoch = -(-n // batch)
    assert plan.shape == (epochs * per_epoch, min(batch, n))
    assert plan.dtype == np.int64
    for epoch in np.split(plan, epochs):
        assert sorted(epoch[epoch >= 0].tolist()) == list(range(n))
        lengths = (epoch >= 0).sum(axis=1)
        assert (lengths[:-1] == min(batch, n)).all()  # only the last batch may be short
        assert lengths[-1] == n - (per_epoch - 1) * min(batch, n) >= 1
        assert (epoch[-1, lengths[-1] :] == -1).all()  # padding stands at the end


@given(n=sizes, batch=batch_sizes, steps=st.integers(1, 6), seed=st.integers(0, 99))
def test_steps_draw_without_replacement(n: int, batch: int, steps: int, seed: int) -> None:
    plan = draw_batches(np.random.default_rng(seed), n, LocalBudget(batch, steps=steps))
    assert plan.shape == (steps, min(batch, n))
    assert plan.min() >= 0
    assert plan.max() < n
    assert all(len(set(row)) == len(row) for row in plan.tolist())


def test_epochs_are_permuted_afresh() -> None:
    plan = draw_batches(np.random.default_rng(0), 50, LocalBudget(50, epochs=3))
    assert len({tuple(row) for row in plan.tolist()}) == 3


def test_batches_follow_from_seed_role_client_and_round_alone() -> None:
    budget = LocalBudget(8, epochs=1)
    few = seeded_batches(3, "batches", np.array([30, 30]), budget)
    many = seeded_batches(3, "batches", np.array([30, 30, 7]), budget)
    assert (few(1, 4) == many(1, 4)).all()
    assert (few(1, 4) == few(1, 4)).all()  # asking again draws the same
    others = [few(0, 4), few(1, 5), seeded_batches(4, "batches", np.array([30, 30]), budget)(1, 4)]
    others.append(seeded_batches(3, "adaptation", np.array([30, 30]), budget)(1, 4))
    assert all((few(1, 4) != other).any() for other in others)


@given(
    clients=st.lists(
        st.tuples(st.integers(1, 20), st.integers(1, 9), st.integers(1, 3)), min_size=1, max_size=6
    )
)
def test_a_chunk_shows_every_client_its_own_batches(clients: list[tuple[int, int, int]]) -> None:
    rng = np.random.default_rng(0)
    batches = [draw_batches(rng, n, LocalBudget(b, epochs=e)) for n, b, e in clients]
    order = sorted(range(len(clients)), key=lambda k: -len(batches[k]))
    starts = np.concatenate([[0], np.cumsum([n for n, _, _ in clients])])
    plan = chunk_plan(
        [batches[k] for k in order],
        [int(starts[k]) for k in order],
        torch.device("cpu"),
        torch.float32,
    )
    assert plan.steps == [len(batches[k]) for k in order]
    for row, k in enumerate(order):
        for s in range(len(plan.active)):
            assert (s < len(batches[k])) == (row < plan.active[s])
            if s < len(batches[k]):
                width = plan.width[s]
                real = plan.mask[s, row, :width] > 0
                shown = plan.index[s, row, :width][real] - int(starts[k])
                wanted = batches[k][s][batches[k][s] >= 0]
                assert shown.tolist() == wanted.tolist()
                assert plan.mask[s, row, width:].sum() == 0
        own = plan.index[:, row]
        assert ((own >= starts[k]) & (own < starts[k + 1])).all()  # padding is its own sample


@pytest.mark.parametrize("budget", [LocalBudget(5, epochs=2), LocalBudget(5, steps=3)])
def test_a_client_with_one_sample_has_batches(budget: LocalBudget) -> None:
    plan = draw_batches(np.random.default_rng(0), 1, budget)
    assert (plan == 0).all()
    assert len(plan) == (2 if budget.epochs else 3)


@pytest.mark.parametrize(("steps", "of", "wanted"), [(3, 2, 4), (4, 2, 4), (1, 3, 3), (5, 1, 5)])
def test_batches_are_repeated_from_the_first_to_a_multiple(
    steps: int, of: int, wanted: int
) -> None:
    batches = np.arange(2 * steps).reshape(steps, 2)
    made = in_multiples(batches, of)
    assert len(made) == wanted
    assert made.tolist() == [batches[s % steps].tolist() for s in range(wanted)]
