"""Who takes part: shares, schedules, and the same answers whenever a round is asked about."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from small_federations import federation_of

from pflbench import Federation
from pflbench.federation import Attendance, Census, Participation
from pflbench.schema.parameters import parse_parameters
from pflbench.schema.plugins import installed
from pflbench.schema.specs import resolve
from pflbench.streams import stream

SIZES = (5, 12, 1, 20, 8, 3, 3, 40, 9, 2, 7)
N = len(SIZES)
SHARE = st.floats(0, 1)
FRACTION = st.floats(0.01, 1)
SEED = st.integers(0, 10_000)
ROUNDS = 20

EVERY: list[tuple[str, dict[str, Any]]] = [
    ("uniform", {"fraction": 0.4}),
    ("by-size", {"fraction": 0.4}),
    ("dropout", {"p": 0.4, "fraction": 0.6}),
    ("stragglers", {"share": 0.5, "work": 0.3, "fraction": 0.6}),
    ("join", {"at": 4, "share": 0.6, "over": 5, "fraction": 0.5}),
    ("leave", {"at": 4, "share": 0.6, "over": 5, "forget": True, "fraction": 0.5}),
    ("by-label", {"period": 6, "awake": 0.4}),
]


@cache
def federation() -> Federation:
    return federation_of(SIZES)


def made(name: str, seed: int = 0, data: Federation | None = None, **values: Any) -> Participation:
    registry = installed()
    spec = registry.get(registry.participations, name)
    parameters: Any = parse_parameters(spec.parameters, values, owner=name)
    make = resolve(spec.make, owner=name)
    one: Participation = make(parameters, Census(data or federation(), seed))
    return one


def seen(who: Attendance) -> list[Any]:
    return [np.asarray(value).tolist() for value in vars(who).values()]


def test_every_built_in_is_tested() -> None:
    shelf = installed().participations
    own = {s.name for s in shelf.specs() if shelf.owner(s.name) == "pflbench:participations"}
    assert own == {name for name, _ in EVERY}


@pytest.mark.parametrize(("name", "values"), EVERY)
@given(seed=SEED, order=st.permutations(range(ROUNDS)))
@settings(max_examples=15, deadline=None)
def test_a_round_depends_on_seed_and_round_alone(
    name: str, values: dict[str, Any], seed: int, order: list[int]
) -> None:
    """As after resuming: whatever was asked before, and by whichever object."""
    one = made(name, seed, **values)
    rounds = {r: seen(one.attend(r)) for r in order}
    for r in range(ROUNDS):
        assert seen(made(name, seed, **values).attend(r)) == rounds[r]


@pytest.mark.parametrize(("name", "values"), [e for e in EVERY if e[0] != "by-label"])
def test_seeds_differ(name: str, values: dict[str, Any]) -> None:
    runs = {str([seen(made(name, s, **values).attend(r)) for r in range(ROUNDS)]) for s in range(3)}
    assert len(runs) == 3


@given(seed=SEED, fraction=FRACTION)
@settings(max_examples=50, deadline=None)
def test_uniform_draws_what_a_plain_number_always_drew(seed: int, fraction: float) -> None:
    k = max(1, round(fraction * N))
    number = Participation.uniform(fraction, Census(federation(), seed))
    for r in range(5):
        who = made("uniform", seed, fraction=fraction).attend(r)
        drawn = stream(seed, "cohort", r).choice(N, k, replace=False)
        assert who.invited.tolist() == (sorted(drawn) if k < N else list(range(N)))
        assert seen(who) == seen(number.attend(r))
        assert who.uploads.all()
        assert (who.work == 1).all()


@given(seed=SEED, fraction=FRACTION)
@settings(max_examples=50, deadline=None)
def test_by_size_draws_as_many(seed: int, fraction: float) -> None:
    for r in range(5):
        invited = made("by-size", seed, fraction=fraction).attend(r).invited
        assert len(set(invited.tolist())) == len(invited) == max(1, round(fraction * N))


@pytest.mark.slow
def test_by_size_prefers_the_large_as_their_samples_say() -> None:
    one = made("by-size", fraction=1 / N)
    drawn = [int(one.attend(r).invited[0]) for r in range(4_000)]
    share = np.bincount(drawn, minlength=N) / len(drawn)
    expected = np.array(SIZES) / sum(SIZES)
    error = np.sqrt(expected * (1 - expected) / len(drawn))
    assert (abs(share - expected) < 4 * error).all()


@given(seed=SEED, p=SHARE, fraction=FRACTION)
@settings(max_examples=50, deadline=None)
def test_dropout_invites_as_uniform_and_fails_whoever_is_unlucky(
    seed: int, p: float, fraction: float
) -> None:
    everyone = made("dropout", seed, p=p)
    for r in range(5):
        who = made("dropout", seed, p=p, fraction=fraction).attend(r)
        assert (who.invited == made("uniform", seed, fraction=fraction).attend(r).invited).all()
        assert (who.uploads == everyone.attend(r).uploads[who.invited]).all()
    if p in (0, 1):
        assert (everyone.attend(0).uploads == (p == 0)).all()


@pytest.mark.parametrize("p", [0.0, 0.2, 0.7, 1.0])
def test_dropout_fails_that_share(p: float) -> None:
    one = made("dropout", p=p)
    failed = np.concatenate([~one.attend(r).uploads for r in range(400)])
    error = np.sqrt(p * (1 - p) / len(failed))
    assert abs(failed.mean() - p) <= 4 * error
    if 0 < p < 1:  # in each round others
        assert len({tuple(one.attend(r).uploads.tolist()) for r in range(20)}) > 10


def some_of(share: float) -> int:
    """The one rule for shares, apart from the code: the nearest number, one at least."""
    return 0 if share == 0 else max(1, round(share * N))


@given(seed=SEED, share=SHARE, work=st.floats(0.01, 0.99), fraction=FRACTION)
@settings(max_examples=50, deadline=None)
def test_stragglers_are_the_same_in_every_round(
    seed: int, share: float, work: float, fraction: float
) -> None:
    slow = made("stragglers", seed, share=share, work=work).attend(0).work < 1
    assert slow.sum() == some_of(share)
    for r in range(6):
        who = made("stragglers", seed, share=share, work=work, fraction=fraction).attend(r)
        assert (who.work == np.where(slow[who.invited], work, 1.0)).all()
        assert who.uploads.all()


@pytest.mark.parametrize("kind", ["join", "leave"])
@given(seed=SEED, at=st.integers(1, 12), over=st.integers(1, 8), share=SHARE)
@settings(max_examples=50, deadline=None)
def test_schedules_are_even_and_kept(
    kind: str, seed: int, at: int, over: int, share: float
) -> None:
    if kind == "join" and share:  # of which somebody must be late
        assume(at > 1 or (over > 1 and some_of(share) > 1))
    one = made(kind, seed, at=at, over=over, share=share)
    some, attended = some_of(share), [one.attend(r) for r in range(at + over)]
    moved = [who.joined if kind == "join" else who.left for who in attended]
    counts = [len(m) for m in moved]
    if kind == "join" and at == 1:  # whoever comes before the first round is there from the start
        counts[0] = len(one.founders) - (N - some)
    inside = counts[at - 1 : at - 1 + over]
    assert sum(counts) == sum(inside) == some
    assert max(inside) - min(inside) <= 1
    who_moved = np.concatenate(moved)
    assert len(set(who_moved.tolist())) == len(who_moved)
    there = set(one.founders.tolist())
    for who in attended:
        there |= set(who.joined.tolist())
        there -= set(who.left.tolist())
        assert set(who.invited.tolist()) == there
        assert not len(who.forgotten)


def test_those_that_leave_are_forgotten_if_asked() -> None:
    told = made("leave", at=3, share=0.5, over=2, forget=True)
    for r in range(6):
        who = told.attend(r)
        assert who.forgotten.tolist() == who.left.tolist()
    assert len(told.attend(2).left) == 3


@given(seed=SEED, share=SHARE, fraction=FRACTION)
@settings(max_examples=30, deadline=None)
def test_the_fraction_is_of_those_that_are_there(seed: int, share: float, fraction: float) -> None:
    one = made("join", seed, at=3, share=share, fraction=fraction)
    founders = N - some_of(share)
    expected = max(1, round(fraction * founders)) if founders else 0
    assert len(one.attend(0).invited) == expected
    assert len(one.attend(5).invited) == max(1, round(fraction * N))


@given(period=st.integers(1, 12), awake=st.floats(0.01, 1))
@settings(max_examples=50, deadline=None)
def test_by_label_follows_the_most_frequent_label(period: int, awake: float) -> None:
    one = made("by-label", period=period, awake=awake)
    data = federation()
    labels = [np.bincount(data.train.client(i)[1].numpy(), minlength=3).argmax() for i in range(N)]
    long = max(1, round(awake * period))
    there = np.zeros((3 * period, N), dtype=bool)
    for r in range(3 * period):
        there[r, one.attend(r).invited] = True
    assert (there[:period] == there[period : 2 * period]).all()
    assert (there[:period].sum(axis=0) == long).all()
    for i, label in enumerate(labels):
        begins = label * period // 3
        assert there[begins : begins + long, i].all()
        assert (there[:, i] == there[:, labels.index(label)]).all()


def test_what_a_census_says() -> None:
    data = federation()
    census = Census(data, 7)
    assert (census.clients, census.classes, census.seed) == (N, 3, 7)
    assert census.samples.tolist() == list(SIZES)
    assert (census.labels.sum(axis=1) == np.array(SIZES)).all()
    for i in range(N):
        own = np.bincount(data.train.client(i)[1].numpy(), minlength=3)
        assert census.labels[i].tolist() == own.tolist()
        assert census.labels[i, census.dominant[i]] == own.max()
