"""Time over a network: computed by hand for rounds made by hand, and checked on stored runs."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pflbench.analysis.network import PRESETS, Network, devices, read_network
from pflbench.analysis.run_costs import Record, read
from pflbench.analysis.timeline import timeline
from pflbench.errors import InputError
from pflbench.results import StoredRun

Runs = dict[tuple[str, int], StoredRun]


def by_hand(
    record: Record,
    steps: list[list[int | None]],
    *,
    down: float = 1e6,
    up: float = 5e5,
    enrolled: float = 0.0,
    server: float = 0.25,
    joined: dict[int, int] | None = None,
    frozen: float = 0.0,
) -> Record:
    """A record of three clients: their steps by round, None if absent; bytes of one message."""
    joined = joined or {}
    lines: list[tuple[int, str, str, int, int]] = []
    if enrolled:
        founders = 3 - len(joined)
        lines.append((-1, "up", "sketch", founders, int(founders * enrolled)))
    if frozen:
        founders = 3 - len(joined)
        lines.append((-1, "down", "frozen", founders, int(founders * frozen)))
        lines += [(at, "down", "frozen", 1, int(frozen)) for at in joined.values()]
    who = []
    for r, row in enumerate(steps, start=1):
        for client in [c for c, at in joined.items() if at == r]:
            lines.append((r, "up", "sketch", 1, int(enrolled)))
            who.append((r, client, False, False, 0.0, 0, "joined"))
        there = [(c, n) for c, n in enumerate(row) if n is not None]
        for direction, size in (("down", down), ("up", up)):
            if size and there:
                lines.append((r, direction, "model", len(there), int(len(there) * size)))
        who += [(r, c, True, True, 1.0, n, "") for c, n in there]
    rounds = pd.DataFrame(
        {
            "round": range(1, len(steps) + 1),
            "cohort": [sum(n is not None for n in row) for row in steps],
            "steps": [sum(n or 0 for n in row) for row in steps],
            "client_seconds": 1.0,
            "server_seconds": server,
        }
    )
    scenario = dataclasses.replace(record.cell.scenario, clients=3)
    return dataclasses.replace(
        record,
        cell=dataclasses.replace(record.cell, scenario=scenario),
        rounds=rounds,
        messages=pd.DataFrame(lines, columns=["round", "direction", "kind", "messages", "bytes"]),
        participation=pd.DataFrame(
            who, columns=["round", "client", "invited", "uploaded", "work", "steps", "event"]
        ),
        train_samples=pd.Series([10, 20, 30], index=pd.Index([0, 1, 2], name="client")),
    )


@pytest.fixture
def record(runs: Runs) -> Record:
    return read(runs["fedora", 0])


ALIKE = Network(down=8, up=4, latency=100, step=0.5)
"""1 MB/s down, 0.5 MB/s up, a tenth of a second a round trip, half a second a step."""


def test_a_round_lasts_as_long_as_its_slowest_client(record: Record) -> None:
    made = by_hand(record, [[1, 4, 2], [3, None, 1]], enrolled=1e6)
    times = timeline(made, ALIKE)
    set_up = 0.1 + 2.0
    first = (0.1 + 1.0) + 4 * 0.5 + (0.1 + 1.0) + 0.25
    second = (0.1 + 1.0) + 3 * 0.5 + (0.1 + 1.0) + 0.25
    assert times.seconds.tolist() == pytest.approx(np.cumsum([set_up, first, second]))
    assert times.set_up == pytest.approx(set_up)
    assert (times.down, times.up) == (pytest.approx(2.2), pytest.approx(2.2))
    assert times.compute == pytest.approx(3.5)
    assert times.server == pytest.approx(0.5)
    assert times.total == times.seconds[-1]


def test_stragglers_may_be_cut(record: Record) -> None:
    made = by_hand(record, [[1, 40, 2]])
    third = dataclasses.replace(ALIKE, cut=1 / 3)
    assert timeline(made, third).total == pytest.approx(2.2 + 2 * 0.5 + 0.25)
    almost_none = dataclasses.replace(ALIKE, cut=0.01)  # as any share, it is one at least
    assert timeline(made, almost_none).total == timeline(made, third).total
    almost_all = dataclasses.replace(ALIKE, cut=0.99)
    assert timeline(made, almost_all).total == pytest.approx(2.2 + 1 * 0.5 + 0.25)


def test_without_messages_nobody_waits_for_anybody(record: Record) -> None:
    made = by_hand(record, [[1, 4, None], [5, 1, 1]], down=0, up=0, server=0)
    times = timeline(made, ALIKE)
    assert times.seconds.tolist() == pytest.approx([0, 2.0, 3.0])  # client 0 did 6 steps in all
    waiting = by_hand(record, [[1, 4, None], [5, 1, 1]], down=1, up=0, server=0)
    assert timeline(waiting, dataclasses.replace(ALIKE, latency=0)).total == pytest.approx(
        4.5, abs=1e-4
    )


def test_whoever_joins_late_enrols_before_the_round(record: Record) -> None:
    made = by_hand(record, [[1, 1, None], [1, 1, 1]], enrolled=1e6, joined={2: 2})
    usual = 2.2 + 0.5 + 0.25
    expected = np.cumsum([2.1, usual, 2.1 + usual])
    assert timeline(made, ALIKE).seconds.tolist() == pytest.approx(expected)


def test_what_nobody_trains_is_downloaded_once(record: Record) -> None:
    made = by_hand(record, [[1, 1, None], [1, 1, 1]], frozen=3e6, joined={2: 2})
    usual = 2.2 + 0.5 + 0.25
    expected = np.cumsum([3.1, usual, 3.1 + usual])
    assert timeline(made, ALIKE).seconds.tolist() == pytest.approx(expected)
    alone = by_hand(record, [[1, 4, 2]], down=0, up=0, server=0, frozen=3e6)
    assert timeline(alone, ALIKE).compute == pytest.approx(2.0)  # nobody waits in rounds


def test_steps_are_measured_or_given(record: Record) -> None:
    made = by_hand(record, [[2, 2, 4], [2, 2, 4]])  # 16 steps, measured to take 2 s in all
    measured = dataclasses.replace(ALIKE, step=None)
    assert timeline(made, measured).compute == pytest.approx(8 * 2 / 16)
    slow = dataclasses.replace(measured, speed=0.1)
    assert timeline(made, slow).compute == pytest.approx(10 * 8 * 2 / 16)


def test_devices_are_drawn_once_a_client(record: Record) -> None:
    lte = read_network("lte").network
    many, few = devices(lte, 4000, seed=3), devices(lte, 10, seed=3)
    assert np.array_equal(many.speed[:10], few.speed)
    assert not np.allclose(devices(lte, 10, seed=4).speed, few.speed)
    assert np.median(many.down) == pytest.approx(35.96e6 / 8, rel=0.05)
    assert np.median(many.speed) == pytest.approx(1, rel=0.05)
    for drawn, spread in ((many.speed, 0.5), (many.up, 0.5)):
        assert np.log(drawn).std() == pytest.approx(spread, rel=0.05)
    assert abs(np.corrcoef(np.log(many.speed), np.log(many.up))[0, 1]) < 0.06
    np.testing.assert_allclose(many.down / many.up, 35.96 / 11.22)
    slowest, fastest = np.quantile(many.speed, [0.01, 0.99])
    assert 8 < fastest / slowest < 13  # the source's order of magnitude
    even = read_network("lte(distribution=uniform, speed_spread=0.4)").network
    speeds = devices(even, 2000, seed=0).speed
    assert speeds.min() == pytest.approx(0.6, abs=0.01)
    assert speeds.max() == pytest.approx(1.4, abs=0.01)


def test_unlike_devices_make_rounds_longer(record: Record) -> None:
    alike = dataclasses.replace(ALIKE, latency=0)
    unlike = dataclasses.replace(alike, speed_spread=1.0, link_spread=1.0)
    made = by_hand(record, [[4, 4, 4]] * 5)
    able = devices(unlike, 3, made.cell.seed)
    own = 1e6 / able.down + 4 * 0.5 / able.speed + 5e5 / able.up
    assert timeline(made, unlike).seconds[-1] == pytest.approx(5 * (own.max() + 0.25))


@pytest.mark.parametrize("network", ["lte", "mobile-5g", "broadband", "lan"])
def test_stored_runs_over_every_network(network: str, runs: Runs) -> None:
    assert PRESETS[network].source
    over = read_network(network).network
    spent = {m: timeline(read(runs[m, 0]), over) for m in ("local", "fedavg", "fedora", "pfedhn")}
    for name, times in spent.items():
        assert len(times.seconds) == 7
        assert (np.diff(times.seconds) > 0).all(), name
    assert spent["local"].total < min(spent[m].total for m in ("fedavg", "fedora", "pfedhn"))
    assert spent["local"].down == spent["local"].up == spent["local"].set_up == 0
    assert spent["fedora"].set_up > spent["fedavg"].set_up > 0


def test_runs_older_than_the_table_of_who_took_part(runs: Runs) -> None:
    record = read(runs["fedavg", 0])
    assert record.participation is not None
    older = dataclasses.replace(record, participation=None)
    for over in (read_network("lte").network, dataclasses.replace(ALIKE, speed_spread=1.0)):
        known, guessed = timeline(record, over), timeline(older, over)
        assert guessed.total == pytest.approx(known.total)
    some = dataclasses.replace(older, rounds=older.rounds.assign(cohort=2, steps=20))
    fewer = timeline(some, ALIKE)
    assert fewer.total < timeline(older, ALIKE).total
    assert fewer.total == timeline(some, ALIKE).total  # drawn from a named stream


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lt", "no network 'lt'. Did you mean 'lte'"),
        ("lte(up=0)", "lte.up = '0' is not valid: expected a number > 0"),
        ("lte(bandwidth=1)", "no parameter of lte 'bandwidth'"),
        ("link(down=1)", "link needs a value for up"),
        ("lte(distribution=normal)", "expected one of lognormal, uniform"),
        ("lan(distribution=uniform, speed_spread=1)", "a uniform spread is below 1"),
        ("lte(cut=1)", "lte.cut"),
    ],
)
def test_what_cannot_be(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_network(text)


def test_a_preset_can_be_changed_in_part() -> None:
    changed: dict[str, Any] = dataclasses.asdict(read_network("lte(speed=0.2, cut=0.1)").network)
    assert changed == {**dataclasses.asdict(read_network("lte").network), "speed": 0.2, "cut": 0.1}
    plain = read_network("link(down=50, up=10)").network
    assert (plain.down, plain.up, plain.latency, plain.link_spread) == (50, 10, 0, 0)
