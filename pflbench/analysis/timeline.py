"""From a run's messages and steps to the wall-clock time of a real federation.

A client's round is: a round trip and its download, its local steps, a round trip and its upload.
The server waits for the slowest client (except those that are cut), then takes its measured time;
clients do not wait for each other's links. In a round without messages no client waits for another.
The server does not wait for a client that fails. The computation of enrolment messages is not
measured, and takes no time here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pflbench.analysis.network import Devices, Network, devices
from pflbench.analysis.run_costs import FROZEN, SET_UP, Record
from pflbench.results.measures import Floats, Ints
from pflbench.schema.shares import count_of
from pflbench.streams import stream


@dataclass(frozen=True, eq=False)
class Timeline:
    """Simulated wall-clock time of a run over a network.

    Attributes
    ----------
    seconds
        [R + 1] since the beginning: after set-up, and after each round.
    set_up, down, compute, up, server
        Its parts, in seconds of the whole run: along the slowest client of each round for which the
        server waits.
    """

    seconds: Floats
    set_up: float
    down: float
    compute: float
    up: float
    server: float

    @property
    def total(self) -> float:
        """Of the whole run."""
        return float(self.seconds[-1])


@dataclass(frozen=True, eq=False)
class _Round:
    """Work in a round: client numbers [K], their steps [K], and clients that joined before it."""

    clients: Ints
    steps: Floats
    joined: Ints


def timeline(record: Record, network: Network) -> Timeline:
    """Let a run's rounds go by over a network."""
    clients = record.cell.scenario.clients
    able = devices(network, clients, record.cell.seed)
    traffic = _Traffic(record)
    step = _step_seconds(record, network)
    trip = network.latency / 1000
    free = np.zeros(clients)  # when each client has finished its work without messages
    numbers = record.train_samples.index.to_numpy(np.int64)
    first = _founders(record, numbers)
    now = set_up = _enrolment(able, first, traffic.frozen, traffic.at_set_up, trip)
    seconds, parts = [now], np.zeros(3)
    server = record.rounds["server_seconds"].to_numpy(np.float64)
    for r, who in enumerate(_attendance(record, numbers), start=1):
        now += _enrolment(able, who.joined, traffic.frozen, traffic.of_joining.get(r, 0.0), trip)
        down, up = traffic.down.get(r, 0.0), traffic.up.get(r, 0.0)
        i = who.clients
        own = np.stack(
            [
                (trip if down else 0.0) + down / able.down[i],
                who.steps * step / able.speed[i],
                (trip if up else 0.0) + up / able.up[i],
            ]
        )
        began = np.maximum(free[i], now if down or up else 0.0)
        ended = began + own.sum(axis=0)
        if down or up:
            if len(i):
                waited = len(i) - count_of(network.cut, len(i), most=len(i) - 1)
                last = np.argsort(ended, kind="stable")[waited - 1]
                parts += own[:, last]
                now = float(ended[last])
            now += server[r - 1]
        else:
            free[i] = ended
            now += server[r - 1]
        seconds.append(max(now, float(free.max())))
    if not traffic.any:
        parts[1] = float(free.max())
    down_seconds, compute, up_seconds = map(float, parts)
    return Timeline(
        np.array(seconds), set_up, down_seconds, compute, up_seconds, float(server.sum())
    )


class _Traffic:
    """Bytes of one client's messages, by round; messages of a kind are taken to be of one size."""

    def __init__(self, record: Record) -> None:
        lines = record.messages
        sizes = lines["bytes"] / lines["messages"].clip(lower=1)
        lines = lines.assign(size=sizes)
        is_frozen = (lines["direction"] == "down") & (lines["kind"] == FROZEN)
        self.frozen = float(lines.loc[is_frozen, "size"].max()) if is_frozen.any() else 0.0
        lines = lines[~is_frozen]
        ups, downs = (lines[lines["direction"] == d] for d in ("up", "down"))
        before = ups[ups["round"] == SET_UP]
        self.at_set_up = float(before["size"].sum())
        joining = _joins(record)
        usual = set(ups.loc[~ups["round"].isin([SET_UP, *joining]), "kind"])
        enrolled = set(before["kind"]) - usual
        is_enrolment = ups["round"].isin(joining) & ups["kind"].isin(enrolled)
        self.of_joining = _by_round(ups[is_enrolment])
        self.up = _by_round(ups[~is_enrolment & (ups["round"] != SET_UP)])
        self.down = _by_round(downs)
        self.any = bool(self.up or self.down)


def _by_round(lines: pd.DataFrame) -> dict[int, float]:
    sums = lines.groupby("round")["size"].sum()
    return {int(r): float(size) for r, size in zip(sums.index, sums, strict=True)}


def _joins(record: Record) -> list[int]:
    """Return the rounds in which clients joined."""
    if record.participation is None:
        return []
    who = record.participation
    return [int(r) for r in who.loc[who["event"] == "joined", "round"].unique()]


def _founders(record: Record, numbers: Ints) -> Ints:
    """Return the clients that were present from the beginning."""
    if record.participation is None:
        return numbers
    who = record.participation
    later = who.loc[who["event"] == "joined", "client"].to_numpy(np.int64)
    return np.setdiff1d(numbers, later)


def _enrolment(able: Devices, clients: Ints, down: float, up: float, trip: float) -> float:
    """Return the time until the slowest client has enrolled."""
    if not (down or up) or not len(clients):
        return 0.0
    trips = trip * (bool(down) + bool(up))
    return float((trips + down / able.down[clients] + up / able.up[clients]).max())


def _step_seconds(record: Record, network: Network) -> float:
    """Return the seconds of a local step at speed 1."""
    if network.step is not None:
        return network.step
    steps = float(record.rounds["steps"].sum())
    return float(record.rounds["client_seconds"].sum()) / steps if steps else 0.0


def _attendance(record: Record, numbers: Ints) -> Iterator[_Round]:
    """Yield the clients that uploaded (or trained) in each round, and their numbers of steps."""
    nobody = np.zeros(0, dtype=np.int64)
    steps_of = record.rounds["steps"].to_numpy(np.float64)
    if record.participation is not None:
        who = record.participation
        there = dict(list(who[who["uploaded"]].groupby("round")))
        new = dict(list(who[who["event"] == "joined"].groupby("round")))
        for r in record.rounds["round"].tolist():
            came = new[r]["client"].to_numpy(np.int64) if r in new else nobody
            if r not in there:
                yield _Round(nobody, np.zeros(0), came)
                continue
            clients = there[r]["client"].to_numpy(np.int64)
            yield _Round(clients, there[r]["steps"].to_numpy(np.float64), came)
        return
    weights = _usual_steps(record)
    for r, count, steps in zip(
        record.rounds["round"].tolist(), record.rounds["cohort"].tolist(), steps_of, strict=True
    ):
        places = np.arange(len(numbers))
        if count < len(numbers):  # the cohort is unknown: one of the same size is drawn
            rng = stream(record.cell.seed, "network cohort", int(r))
            places = np.sort(rng.choice(len(numbers), count, replace=False))
        share = weights[places] / max(float(weights[places].sum()), 1.0)
        yield _Round(numbers[places], steps * share, nobody)


def _usual_steps(record: Record) -> Floats:
    """Return the local steps of each client's whole round by the scenario's budget."""
    s = record.cell.scenario
    samples = record.train_samples.to_numpy(np.float64)
    if s.local_steps is not None:
        return np.full(len(samples), float(s.local_steps))
    batches: Floats = np.ceil(samples / s.batch_size) * float(s.local_epochs or 1)
    return batches
