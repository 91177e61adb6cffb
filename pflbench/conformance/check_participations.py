"""Checks that a participation names the participants of any round, always the same."""

from __future__ import annotations

import time

import numpy as np

from pflbench.conformance.catalogue import Catalogue, CheckFailed, Subject
from pflbench.conformance.lab import federation, play, simulation
from pflbench.federation import Attendance, Census, Participation
from pflbench.schema.specs import AlgorithmSpec, ParticipationSpec, resolve

CHECKS = Catalogue()
_ROUNDS = 25
_SIZES = (12, 1, 9, 30, 3, 7, 7)
_MANY = 2_000
_SECONDS = 5.0


@CHECKS.add("every round has a cohort of clients, each once")
def cohorts_are_clients(subject: Subject) -> None:
    """In ascending order, with arriving uploads and with shares of work in (0, 1]."""
    for sizes in (_SIZES, (4,)):
        one = _made(subject, sizes)
        for r in range(_ROUNDS):
            who = one.attend(r)
            k, n = len(who.invited), len(sizes)
            if who.invited.dtype != np.int64 or (np.diff(who.invited) <= 0).any():
                raise CheckFailed(
                    f"The cohort of round {r} is not of different clients: {who.invited}."
                )
            if k and not 0 <= who.invited.min() <= who.invited.max() < n:
                raise CheckFailed(f"The cohort of round {r} has a client that none of {n} is.")
            if who.uploads.shape != (k,) or who.uploads.dtype != bool:
                raise CheckFailed(f"Round {r} does not say of each of {k} whether it uploads.")
            if who.work.shape != (k,) or not ((who.work > 0) & (who.work <= 1)).all():
                raise CheckFailed(f"Round {r} has shares of work that are not in (0, 1].")


@CHECKS.add("a round does not depend on the rounds before")
def answers_for_any_round(subject: Subject) -> None:
    """Read in order, backwards and from a fresh object."""
    ahead, back = _made(subject), _made(subject)
    forward = [ahead.attend(r) for r in range(_ROUNDS)]
    for r in reversed(range(_ROUNDS)):
        for other, words in (
            (back.attend(r), "when rounds are read backwards"),
            (_made(subject).attend(r), "when it is the only one"),
            (ahead.attend(r), "when it is read again"),
        ):
            if not _alike(forward[r], other):
                raise CheckFailed(
                    f"Round {r} differs {words}: draw from a separate stream for each round."
                )


@CHECKS.add("clients join once, leave once, and are present in between")
def stays_are_kept(subject: Subject) -> None:
    """No client is invited before it has enrolled, or after it has left."""
    one = _made(subject)
    arrivals, departures = one.arrivals(), one.departures()
    enrolled, gone = set(one.founders.tolist()), set[int]()
    for r in range(_ROUNDS):
        who = one.attend(r)
        if twice := enrolled & set(who.joined.tolist()):
            raise CheckFailed(f"Client {min(twice)} enrols a second time, in round {r}.")
        enrolled |= set(who.joined.tolist())
        left = set(who.left.tolist())
        if odd := (left & gone) | (left - enrolled):
            raise CheckFailed(f"Client {min(odd)} leaves in round {r}, and was not there.")
        gone |= left
        there = set(np.flatnonzero((arrivals <= r) & (r < departures)).tolist())
        if odd := set(who.invited.tolist()) - (there & enrolled - gone):
            raise CheckFailed(f"Client {min(odd)} is invited to round {r}, and is not there.")
        if odd := set(who.forgotten.tolist()) - left:
            raise CheckFailed(
                f"Client {min(odd)} must be forgotten in round {r} but did not leave."
            )


@CHECKS.add("no cohort is larger than the largest")
def largest_is_largest(subject: Subject) -> None:
    """The memory of a round is planned by it."""
    for sizes in (_SIZES, (4,), (2,) * 100):
        one = _made(subject, sizes)
        for r in range(_ROUNDS):
            if len(one.attend(r).invited) > one.largest:
                raise CheckFailed(
                    f"Round {r} invites {len(one.attend(r).invited)} of {len(sizes)} clients, "
                    f"more than the largest cohort, {one.largest}."
                )


@CHECKS.add("a run works with it, quickly with many clients")
def plays(subject: Subject) -> None:
    """FedAvg runs its rounds, with any present clients."""
    fedavg = AlgorithmSpec(
        "averaging", "FedAvg", "pflbench.method:Client", "pflbench.method:AveragingServer"
    )
    data = federation(_SIZES)
    sim = simulation(Subject("algorithm", fedavg), data, participation=_made(subject))
    play(sim, range(12))
    many = _made(subject, (1,) * _MANY)
    began = time.perf_counter()
    for r in range(_ROUNDS):
        many.attend(r)
    seconds = time.perf_counter() - began
    if seconds > _SECONDS:
        raise CheckFailed(
            f"{_ROUNDS} rounds of {_MANY:,} clients took {seconds:.1f} seconds to draw."
        )


def _made(subject: Subject, sizes: tuple[int, ...] = _SIZES) -> Participation:
    assert isinstance(subject.spec, ParticipationSpec)
    make = resolve(subject.spec.make, owner=f"participation {subject.spec.name!r}")
    one: Participation = make(subject.parameters, Census(federation(sizes), 0))
    return one


def _alike(a: Attendance, b: Attendance) -> bool:
    fields = ("invited", "uploads", "work", "joined", "left", "forgotten")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in fields)
