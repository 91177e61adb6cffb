"""Checks that a method is defined for clients that fail, are slow, come late and leave."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from pflbench.conformance.catalogue import Catalogue, CheckFailed, Skipped, Subject
from pflbench.conformance.check_isolation import with_noise
from pflbench.conformance.lab import (
    CLASSES,
    CLOSE,
    EQUAL,
    SAME,
    Tap,
    arrays,
    begun,
    clients,
    distance,
    expect_same,
    expect_training_clients,
    federation,
    play,
    simulation,
    snapshot,
)
from pflbench.engine import ROUND_COLUMNS, Simulation
from pflbench.federation import Attendance, Census, Federation, Participation
from pflbench.method import Server

CHECKS = Catalogue()
_ENGINES = ("sequential", "stacked")
_ROUNDS = 6
_GONE = 1
"""The client that leaves and must be forgotten."""


class _Churn(Participation):
    """Five clients with every kind of event within six rounds."""

    forgets = True

    def arrivals(self) -> np.ndarray:
        return np.array([0, 0, 0, 1, 4])

    def departures(self) -> np.ndarray:
        return np.array([99, 3, 99, 99, 99])

    def available(self, round: int) -> np.ndarray:
        return np.full(self.census.clients, round != 2)  # no client is present in the third round

    def uploads(self, round: int, invited: np.ndarray) -> np.ndarray:
        return (invited + round) % 3 > 0 if round != 5 else np.zeros(len(invited), dtype=bool)

    def work(self, round: int, invited: np.ndarray) -> np.ndarray:
        return np.where(invited % 2, 0.4, 1.0)


@CHECKS.add("churn gives the same numbers in every engine and chunk")
def churn_in_any_engine(subject: Subject) -> None:
    """Clients join, leave, fail and are slow; one round has no client, in another all fail."""
    reference = play(_churning(subject), range(_ROUNDS))
    for chunk in (None, 1, 2):
        stacked = play(_churning(subject, engine="stacked", chunk=chunk), range(_ROUNDS))
        rows = "by rule" if chunk is None else str(chunk)
        expect_same(
            stacked, reference, CLOSE, f"Sequential, and stacked in chunks of {rows}, with churn"
        )


@CHECKS.add("a run with churn that is resumed equals an uninterrupted one")
def churn_resumed(subject: Subject) -> None:
    """Also where clients enrol, or are forgotten, after the run was resumed."""
    whole, parts = _churning(subject), _churning(subject)
    for r in range(_ROUNDS):
        expect_same(
            play(parts, [r]), play(whole, [r]), SAME, f"Resumed after round {r}, with churn"
        )
        state = {n: t.contiguous() for n, t in snapshot(parts.state()).items()}
        stored = safetensors.torch.load(safetensors.torch.save(state))
        parts = _churning(subject, enrolled=False)
        parts.restore(stored)


@CHECKS.add("a client that fails after receiving leaves no trace")
def failing_leaves_no_trace(subject: Subject) -> None:
    """Its state stays; the other uploads are aggregated as if it had not been invited."""
    for engine in _ENGINES:
        invited, rest = simulation(subject, engine=engine), simulation(subject, engine=engine)
        for r, failing in enumerate(([1, 3], [0], [4, 2])):
            holds = [i for i in range(len(EQUAL)) if i not in failing]
            before = {name: rows[failing] for name, rows in snapshot(invited.states).items()}
            who = Attendance.of(np.arange(len(EQUAL)))
            who.uploads[failing] = False
            invited.round(r, who)
            rest.round(r, clients(*holds))
            after = {name: rows[failing] for name, rows in snapshot(invited.states).items()}
            what = f"in round {r + 1} ({engine})"
            expect_same(after, before, 0.0, f"Clients that fail {what}")
            expect_same(
                snapshot(invited.state()),
                snapshot(rest.state()),
                CLOSE,
                f"Clients that fail, and clients that are not invited, {what}",
            )


@CHECKS.add("a client that does one local step trains")
def one_step_trains(subject: Subject) -> None:
    """However many it would have done."""
    expect_training_clients(subject)
    for engine in _ENGINES:
        sim, first = begun(simulation(subject, engine=engine))
        for r, k in enumerate((2, 0, 2), first):
            before = sim.personal(clients(k)).clone()
            who = Attendance(np.array([k]), np.array([True]), np.array([1e-9]))
            steps = sim.round(r, who).steps
            after = sim.personal(clients(k))
            where = f"A client that does one local step in round {r + 1} ({engine})"
            phases = sim.client.phases()
            least = sum(phase.multiple for phase in phases if not phase.passes)
            most = sum(phase.multiple * max(phase.passes, 1) for phase in phases)
            each = sim.client.gradients_per_step
            if not least * each <= steps <= most * each:
                raise CheckFailed(f"{where} is counted with {steps} gradients.")
            if not after.isfinite().all() or distance(after, before) == 0:
                raise CheckFailed(f"{where} has the model that it had, or one that is not finite.")


@CHECKS.add("rounds without clients pass")
def nobody_is_no_error(subject: Subject) -> None:
    """Without a cohort nothing changes; if all fail, no client changes, and training continues."""
    for engine in _ENGINES:
        sim = simulation(subject, engine=engine)
        sim.round(0)
        before = snapshot(sim.state())
        sim.round(1, Attendance.of(np.zeros(0, dtype=np.int64)))
        expect_same(snapshot(sim.state()), before, 0.0, f"A round without a cohort ({engine})")
        kept = snapshot(sim.states)
        for r in (2, 3):
            who = Attendance.of(np.arange(len(EQUAL)))
            who.uploads[:] = False
            loss = sim.round(r, who).train_loss
            if not math.isnan(loss):
                raise CheckFailed(f"A round in which all fail has the training loss {loss}.")
            expect_same(snapshot(sim.states), kept, 0.0, f"A round in which all fail ({engine})")
        seen = play(sim, [4])
        bad = [name for name, value in seen.items() if not value.isfinite().all()]
        if bad:
            raise CheckFailed(f"After rounds in which all fail, {bad[0]} is not finite ({engine}).")


@CHECKS.add("clients may enrol one after the other")
def enrol_in_turn(subject: Subject) -> None:
    """Before the first round the grouping of enrolments does not matter."""
    sim = simulation(subject, enrolled=False)
    tap = Tap(sim)
    sim.round(0)
    server = _server(subject)
    for part in ([0, 1], [2], [3, 4]):
        server.enrol(clients(*part), [snapshot(tap.enrolments[i]) for i in part])
    sent = snapshot(server.send(0, tap.cohorts[0]))
    expect_same(sent, tap.sent[0], SAME, "Enrolled one after the other and all together, sending")
    server.aggregate(0, tap.cohorts[0], snapshot(tap.uploads[0]))
    expect_same(
        snapshot(server.serve(sim.everyone)),
        snapshot(sim.server.serve(sim.everyone)),
        SAME,
        "Enrolled one after the other and all together, serving after a round",
    )


@CHECKS.add("a server forgets what it says it forgets")
def forgets_as_it_says(subject: Subject) -> None:
    """After it, messages are bit for bit the same for any data of the client."""
    own = arrays()
    other = [with_noise(c, i, ("train", "val")) if i == _GONE else c for i, c in enumerate(own)]
    taps = []
    for given in (own, other):
        data = Federation.from_arrays(given, classes=CLASSES)
        sim = simulation(subject, data, enrolled=False)
        taps.append(Tap(sim))
        for r in range(3):
            sim.round(r)
    rest = clients(*(i for i in range(len(EQUAL)) if i != _GONE))
    servers = [_server(subject), _server(subject)]
    for tap, server in zip(taps, servers, strict=True):
        told = [tap if i == _GONE else taps[0] for i in range(len(EQUAL))]
        server.enrol(
            clients(*range(len(EQUAL))), [snapshot(t.enrolments[i]) for i, t in enumerate(told)]
        )
        for r in range(2):
            server.send(r, taps[0].cohorts[r])
            uploads = snapshot(taps[0].uploads[r])
            for name, rows in uploads.items():
                rows[_GONE] = tap.uploads[r][name][_GONE]
            server.aggregate(r, taps[0].cohorts[r], uploads)
    kept = [server.forget(clients(_GONE)) for server in servers]
    if not all(isinstance(words, str) and "\n" not in words for words in kept):
        raise CheckFailed(f"forget returned {kept[0]!r}, expected a text of one line.")
    for r in (2, 3):
        sent = [snapshot(server.send(r, rest)) for server in servers]
        sent += [snapshot(server.serve(rest)) for server in servers]
        bad = [name for message in sent for name, rows in message.items() if not _finite(rows)]
        if bad:
            raise CheckFailed(f"After a client was forgotten, {bad[0]!r} is not finite.")
        if not any(kept):
            what = "after a client was forgotten, with other uploads of this client"
            expect_same(sent[1], sent[0], 0.0, f"Messages {what}")
            expect_same(sent[3], sent[2], 0.0, f"Served messages {what}")
        for server in servers:
            uploads = {name: rows[rest] for name, rows in snapshot(taps[0].uploads[2]).items()}
            server.aggregate(r, rest, uploads)
    if any(kept):
        raise Skipped(f"it says that it cannot forget {kept[0]}")


@CHECKS.add("a server's telemetry is numbers under constant names")
def telemetry_is_steady(subject: Subject) -> None:
    """Before and after a round, also one without clients; reading it changes nothing."""
    sim = simulation(subject)
    names = set(sim.server.telemetry(0))
    if not names:
        raise Skipped("it has no telemetry")
    if taken := sorted(names & set(ROUND_COLUMNS)):
        raise CheckFailed(f"The table of rounds has a column {taken[0]!r} already.")
    for r, who in enumerate((None, clients(0, 2), clients())):
        sim.round(r, who)
        before = snapshot(sim.state())
        told: list[dict[str, Any]] = [{**sim.server.telemetry(r)} for _ in range(2)]
        expect_same(snapshot(sim.state()), before, 0.0, "A server after its telemetry was read")
        if set(told[0]) != names:
            odd = sorted(set(told[0]) ^ names)[0]
            raise CheckFailed(f"{odd!r} is in the telemetry of one round and not of another.")
        for name, value in told[0].items():
            if not isinstance(value, int | float) or math.isinf(value):
                raise CheckFailed(f"{name} is {value!r}, expected a number or NaN.")
            if not _same(value, told[1][name]):
                raise CheckFailed(f"{name} is {value}, and {told[1][name]} when read again.")


def _churning(
    subject: Subject, *, engine: str = "sequential", chunk: int | None = None, enrolled: bool = True
) -> Simulation:
    data = federation((12, 5, 9, 7, 3))
    return simulation(
        subject,
        data,
        engine=engine,
        chunk=chunk,
        enrolled=enrolled,
        participation=_Churn(None, Census(data, 0)),
    )


def _server(subject: Subject) -> Server[object]:
    return simulation(subject, enrolled=False).server


def _finite(rows: Tensor) -> bool:
    return bool(torch.isfinite(rows).all())


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))
