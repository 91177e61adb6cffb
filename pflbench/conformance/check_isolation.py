"""Checks that client code sees its own training and validation data, and nothing else."""

from __future__ import annotations

import numpy as np
import torch

from pflbench.conformance.catalogue import Catalogue, CheckFailed, Skipped, Subject
from pflbench.conformance.lab import (
    CLASSES,
    EQUAL,
    SAME,
    Arrays,
    Tap,
    arrays,
    clients,
    expect_same,
    play,
    simulation,
    snapshot,
)
from pflbench.engine import Simulation
from pflbench.federation import Federation
from pflbench.streams import stream

CHECKS = Catalogue()
_ROUNDS = 2


@CHECKS.add("absent clients' state is untouched")
def absent_clients_untouched(subject: Subject) -> None:
    """Neither a client's state nor a model it keeps changes in rounds without it."""
    for engine in ("sequential", "stacked"):
        sim = simulation(subject, engine=engine)
        kept = sim.client.personal_model == "kept"
        if not sim.states and not kept:
            raise Skipped("clients keep nothing between rounds")
        sim.round(0)
        absent = clients(1, 3)
        before = {name: rows[absent] for name, rows in snapshot(sim.states).items()}
        models = sim.personal(absent).clone()
        for r in (1, 2):
            sim.round(r, clients(0, 2, 4))
        after = {name: rows[absent] for name, rows in snapshot(sim.states).items()}
        expect_same(after, before, 0.0, f"State of clients that were absent ({engine})")
        if kept:
            expect_same(
                {"the personal model": sim.personal(absent)},
                {"the personal model": models},
                0.0,
                f"Clients that were absent ({engine})",
            )


@CHECKS.add("client code cannot see test data")
def blind_to_test_data(subject: Subject) -> None:
    """With other test samples, everything but the test metrics stays the same."""
    own = arrays()
    other = [with_noise(client, i, ("test",)) for i, client in enumerate(own)]
    for engine in ("sequential", "stacked"):
        taps, seen = [], []
        for given in (own, other):
            sim = simulation(subject, _federation(given), engine=engine, enrolled=False)
            taps.append(Tap(sim))
            seen.append(play(sim, range(_ROUNDS)))
            del seen[-1]["the test loss"]
        what = f"With other test data ({engine})"
        for i, (changed, message) in enumerate(
            zip(taps[1].enrolments, taps[0].enrolments, strict=True)
        ):
            expect_same(changed, message, SAME, f"{what}, client {i}'s enrolment")
        expect_same(seen[1], seen[0], SAME, what)


@CHECKS.add("client code cannot see other clients")
def blind_to_other_clients(subject: Subject) -> None:
    """With other data at some clients, and the same messages received, the others do the same.

    Either one client has other data or all except one: a leak may come from the first or the last
    client.
    """
    everyone = range(len(EQUAL))
    for changed in ([1], [i for i in everyone if i != 1]):
        words = "all but client 1" if len(changed) > 1 else "client 1"
        rest = [i for i in everyone if i not in changed]
        for engine in ("sequential", "stacked"):
            what = f"With other data at {words} ({engine})"
            _expect_the_same_of(rest, subject, changed, engine, what)


def _expect_the_same_of(
    rest: list[int], subject: Subject, changed: list[int], engine: str, what: str
) -> None:
    """Run with the original data and with other data at some clients; compare the rest."""
    own = arrays()
    other = [
        with_noise(c, i, ("train", "val", "test")) if i in changed else c for i, c in enumerate(own)
    ]
    sim = simulation(subject, _federation(own), engine=engine, enrolled=False)
    tap = Tap(sim)
    _play(sim)
    again = simulation(subject, _federation(other), engine=engine, enrolled=False)
    # The server may learn from the changed clients, so it sends its earlier messages.
    echo = Tap(again, sends=tap.sent)
    _play(again)
    for i in rest:
        expect_same(echo.enrolments[i], tap.enrolments[i], SAME, f"{what}, client {i}'s enrolment")
    for r in range(_ROUNDS):
        expect_same(
            {name: rows[rest] for name, rows in echo.uploads[r].items()},
            {name: rows[rest] for name, rows in tap.uploads[r].items()},
            SAME,
            f"{what}, the others' uploads in round {r + 1}",
        )
    expect_same(
        {name: rows[rest] for name, rows in again.states.items()},
        {name: rows[rest] for name, rows in sim.states.items()},
        SAME,
        f"{what}, the others' state",
    )


@CHECKS.add("the server learns from messages only")
def server_learns_from_messages(subject: Subject) -> None:
    """A fresh server that is given the messages of a run, without clients, sends the same."""
    sim = simulation(subject, enrolled=False, participation=0.6)
    tap = Tap(sim)
    for r in range(3):
        sim.round(r)
    server = simulation(subject, enrolled=False, participation=0.6).server
    server.enrol(sim.everyone, tap.enrolments)
    for r in range(3):
        sent = server.send(r, tap.cohorts[r])
        expect_same(
            snapshot(sent),
            tap.sent[r],
            SAME,
            f"A server given the recorded messages, sending in round {r + 1}",
        )
        server.aggregate(r, tap.cohorts[r], snapshot(tap.uploads[r]))
    last = {f"the state {name!r}": value for name, value in snapshot(server.state()).items()}
    wanted = {f"the state {name!r}": value for name, value in snapshot(sim.server.state()).items()}
    expect_same(last, wanted, SAME, "A server given the recorded messages, at the end")


def _play(sim: Simulation) -> None:
    for r in range(_ROUNDS):
        sim.round(r, sim.everyone)


def _federation(given: list[Arrays]) -> Federation:
    return Federation.from_arrays(given, classes=CLASSES)


def with_noise(client: Arrays, i: int, splits: tuple[str, ...]) -> Arrays:
    """Return the client with other samples and labels in some splits."""
    rng = stream(0, "conformance noise", i)
    changed = dict(client)
    for split in splits:
        shape = client[f"{split}_x"].shape
        changed[f"{split}_x"] = rng.normal(size=shape).astype(np.float32)
        changed[f"{split}_y"] = rng.permutation((np.arange(shape[0]) + i + 1) % CLASSES)
    if not any(differ(changed[name], client[name]) for name in client):
        raise CheckFailed("The check changed no data.")
    return changed


def differ(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether two arrays differ."""
    return not torch.equal(torch.from_numpy(a), torch.from_numpy(b))
